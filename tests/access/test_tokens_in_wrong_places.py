"""A good token where none may stand, from a foreign page, or of whoever acts for another: refused,
and nothing behind the service is asked.
"""

from typing import Any

import pytest
from service_under_test import APP_URL, MakeService, Service, refused
from under_attack import CALLS, POSTS, Json, bearer, exchange, request

from sandbox.service import Service as Gunicorn
from sandbox.world import World

FOREIGN = "https://evil.example"


WRONG_PLACES: list[list[tuple[str, str]]] = [
    [],
    [("Authorization", "")],
    [("Authorization", "Bearer")],
    [("Authorization", "Bearer bad"), ("Authorization", "Bearer {good}")],
    [("Authorization", "Bearer {good}"), ("Authorization", "Bearer {good}")],
    [("Authorization", "Bearer {good}"), ("Authorization", "Basic dTpw")],
    [("Authorization", "Basic dTpw"), ("Authorization", "Bearer {good}")],
    [("Authorization", "Bearer\t{good}")],
    [("Authorization", "Bearer:{good}")],
    [("Authorization", "Bearer Bearer {good}")],
    [("Authorization", "{good}")],
    [("Authentication", "Bearer {good}")],
    [("X-Authorization", "Bearer {good}")],
    [("Proxy-Authorization", "Bearer {good}")],
    [("X-Forwarded-Authorization", "Bearer {good}")],
    [("Authorization", "Bearer " + "x" * 60_000)],
    [("Cookie", "__session=" + "x" * 60_000)],
    [("Cookie", "session={good}")],
    [("Cookie", "__Session={good}")],
    [("Cookie", "__session_={good}")],
    [("Cookie", "__session=bad; __session={good}")],
    [("Cookie", "; ".join(f"c{i}=x" for i in range(5000)))],
    [("Cookie", "\xff=\xff; =; ;;;")],
    [("Authorization", "Bearer bad"), ("Cookie", "__session={good}")],
]


@pytest.mark.usefixtures("nothing_is_asked")
@pytest.mark.parametrize("method, path", CALLS)
def test_a_token_in_the_wrong_place_is_none(service: Service, method: str, path: str) -> None:
    accepted = []
    for sent in WRONG_PLACES:
        headers = [(name, value.replace("{good}", service.token())) for name, value in sent]
        answer = service.call(method, path, headers=[*headers, ("Origin", APP_URL)])
        if answer.status_code != 401 or (answer.json or {})["code"] != "unauthorized":
            accepted.append(sent)
    assert accepted == []


@pytest.mark.usefixtures("nothing_is_asked")
@pytest.mark.parametrize("where", ["query", "json", "form"])
def test_a_token_in_the_address_or_the_body_is_none(service: Service, where: str) -> None:
    names = ("token", "access_token", "__session", "Authorization", "session_token")
    given = dict.fromkeys(names, service.token())
    more: Json = {
        "query": {"query_string": given},
        "json": {"json": given},
        "form": {"data": given},
    }[where]
    for path in POSTS:
        refused(service.call("POST", path, **more), "unauthorized")


FOREIGN_ORIGINS = [
    FOREIGN, "null", None, f"{APP_URL}.evil.example", f"{APP_URL}, {FOREIGN}", f"{APP_URL}/",
    "http://LOCALHOST:8000", "http://localhost:8000@evil.example", "http://localhost:80000",
]  # fmt: skip


@pytest.mark.usefixtures("nothing_is_asked")
@pytest.mark.parametrize("path", POSTS)
def test_a_cookie_from_a_foreign_page_is_refused(service: Service, path: str) -> None:
    for origin in FOREIGN_ORIGINS:
        for azp in (None, APP_URL):
            headers = {"Cookie": f"__session={service.token(azp=azp)}", "Referer": f"{APP_URL}/x"}
            if origin is not None:
                headers["Origin"] = origin
            refused(service.call("POST", path, headers=headers), "origin_not_allowed")


@pytest.mark.usefixtures("nothing_is_asked")
@pytest.mark.parametrize("method, path", CALLS)
def test_a_foreign_azp_is_refused_at_every_call_also_with_a_good_origin(
    service: Service, method: str, path: str
) -> None:
    foreign: list[Any] = [FOREIGN, f"{APP_URL}/", f"{APP_URL}.evil.example", "null", "", 0, False]
    for azp in (*foreign, [], {}):
        token = service.token(azp=azp)
        for carried in (bearer(token), {"Cookie": f"__session={token}"}):
            answer = service.call(method, path, headers=carried | {"Origin": APP_URL})
            refused(answer, "origin_not_allowed")


@pytest.mark.usefixtures("nothing_is_asked")
def test_the_strict_refuse_a_missing_azp_at_every_call(make_service: MakeService, ada: str) -> None:
    service = make_service(require_azp=True)
    for method, path in CALLS:
        refused(service.call(method, path, headers=service.bearer()), "origin_not_allowed")


@pytest.mark.usefixtures("nothing_is_asked")
@pytest.mark.parametrize("path", ["/portal", "/checkout"])
def test_whoever_acts_for_another_spends_nothing(service: Service, path: str) -> None:
    acts: list[Any] = [{"sub": "user_admin"}, {"sub": None}, "user_admin", ["x"], True, 1]
    for act in acts:
        answer = service.call("POST", path, headers=service.bearer(act=act))
        refused(answer, "impersonation_not_allowed")


# At the real server


@pytest.mark.parametrize("size", [7_000, 9_000, 60_000])
def test_an_oversized_header_is_refused_by_the_real_server(gunicorn: Gunicorn, size: int) -> None:
    answer = exchange(
        gunicorn.url,
        request("GET", "/api/stripe/subscription", f"Authorization: Bearer {'x' * size}"),
    )
    if size < 8_000:
        answer.refused("unauthorized", 401)
    else:
        assert answer.status == 431  # Gunicorn's own, before there is a request of ours


def test_two_headers_and_odd_bytes_at_the_real_server(world: World, gunicorn: Gunicorn) -> None:
    good = world.clerk.session_token("user_ada")
    for sent in (
        [f"Authorization: Bearer {good}", "Authorization: Bearer x"],
        [f"Authorization: Basic x\r\nAuthorization: Bearer {good}"],
        [f"Authorization: Bearer {good}\xff"],
        [f"Authorization : Bearer {good}"],
        [f"Author_ization: Bearer {good}"],
        [f"Authorization: Bearer {good}\0"],
        [f"Authorization:\r\n Bearer {good}"],
    ):
        answer = exchange(gunicorn.url, request("GET", "/api/stripe/subscription", *sent))
        assert answer.status in (400, 401), sent
