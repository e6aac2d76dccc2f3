"""The rate limits: per user, portal and checkout together, refresh by itself."""

import pytest
from service_under_test import Log, MakeService, Service, last_event, refused

from sandbox.world import World


def test_portal_and_checkout_count_together(make_service: MakeService, ada: str) -> None:
    service = make_service(rate_limit="3/minute")
    for call in (service.portal, service.checkout, service.portal):
        assert call().status_code != 429

    for call in (service.portal, service.checkout):
        answer = call()
        refused(answer, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_refresh_counts_by_itself(make_service: MakeService, ada: str) -> None:
    service = make_service(rate_limit="1/minute", refresh_rate_limit="2/hour")
    service.checkout()
    refused(service.checkout(), "rate_limited")

    assert [service.refresh().status_code for _ in range(2)] == [200, 200]
    answer = service.refresh()
    refused(answer, "rate_limited")
    assert 60 < int(answer.headers["Retry-After"]) <= 3600


def test_each_user_has_a_limit_of_their_own(make_service: MakeService, ada: str) -> None:
    service = make_service(rate_limit="1/minute", refresh_rate_limit="1/minute")
    for user in ("ada", "eve", "bob"):
        assert service.checkout(user).status_code == 200
        assert service.refresh(user).status_code == 200
        refused(service.checkout(user), "rate_limited")
        refused(service.refresh(user), "rate_limited")


def test_the_defaults_are_thirty_and_ten_a_minute(service: Service) -> None:
    statuses = [service.portal().status_code for _ in range(31)]
    assert statuses == [404] * 30 + [429]
    statuses = [service.refresh().status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_status_webhooks_and_health_are_not_limited(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(rate_limit="1/hour", refresh_rate_limit="1/hour")
    world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)

    for _ in range(40):
        assert service.status().status_code == 200
        assert service.root("/healthz").status_code == 200
    assert all(service.deliver(event).status_code == 200 for _ in range(5))


def test_who_is_not_known_counts_against_nobody(make_service: MakeService, ada: str) -> None:
    service = make_service(rate_limit="1/minute")
    for _ in range(3):
        refused(service.call("POST", "/portal"), "unauthorized")
        headers = service.bearer(act={"sub": "user_admin"})
        refused(service.call("POST", "/portal", headers=headers), "impersonation_not_allowed")
    refused(service.portal(), "no_subscription")


def test_a_refused_call_does_not_reach_stripe(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(rate_limit="1/minute")
    service.portal()
    refused(service.checkout(), "rate_limited")
    assert not world.stripe.calls


def test_a_counter_that_is_broken_lets_people_through_and_is_counted(
    world: World, service: Service, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ConnectionError("the counter's store is down")

    monkeypatch.setattr("portal_service.counters.Counters.incr", broken)
    before = service.metric("portal_rate_limit_errors_total")

    assert service.checkout().status_code == 200
    assert service.metric("portal_rate_limit_errors_total") == before + 1
    assert log.line("rate limits are not counted")["level"] == "ERROR"
