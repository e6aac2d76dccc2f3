"""The watch over the suite sees what it is there for: leaks that are made on purpose."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, Counter
from watch import Watch

from portal_service import Settings
from portal_service.log import log
from sandbox.world import World

TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyX2FkYSJ9.c2lnbmF0dXJl"
PORTAL = "http://127.0.0.1:1/p/session/test_abcdef"


@pytest.fixture(autouse=True)
def nothing_leaks() -> None:
    """Here everything does."""


@pytest.fixture(params=[0, 200], ids=["few secrets", "many secrets"])
def watch(request: pytest.FixtureRequest) -> Watch:
    """Many are looked for in another way, those too that come after a look."""
    watch = Watch()
    watch.keep_secret(*(f"another-{n:06}" for n in range(request.param)))
    watch.look_at("a line", "said")
    watch.keep_secret("whsec_known-to_nobody", TOKEN)
    return watch


def looked_at(watch: Watch, leak: Callable[[], None]) -> list[str]:
    watch.start()
    try:
        leak()
    finally:
        watch.stop()
    return watch.complaints


def raised(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "secret",
    ["whsec_known-to_nobody", "known-to_nobody", TOKEN, TOKEN.rpartition(".")[0], PORTAL,
     "https://checkout.stripe.com/c/pay/cs_test_a", "https://pay.example.com/c/pay/cs_test_a",
     "ada@example.com", "ada%40example.com"],
)  # fmt: skip
def test_a_secret_is_seen_in_a_line_wherever_it_stands(watch: Watch, secret: str) -> None:
    watch.keep_secret("known-to_nobody")
    for leak in (
        lambda: log(logging.ERROR, f"said {secret}"),
        lambda: log(logging.ERROR, "said", field=secret),
        lambda: log(logging.ERROR, "said", field={"deep": [secret]}),
        lambda: log(logging.ERROR, "said", exc_info=raised(secret)),
    ):
        watch.complaints.clear()
        assert looked_at(watch, leak)


def test_what_is_said_and_removed_is_seen_as_said_alone(watch: Watch) -> None:
    """In no line, not even in that of a host app with handlers of its own."""
    for error in (None, raised(TOKEN)):
        watch.complaints.clear()
        looked_at(watch, lambda error=error: log(logging.ERROR, TOKEN, field=TOKEN, exc_info=error))
        (complaint,) = watch.complaints
        assert complaint.startswith("a record")


def test_what_is_none_is_not(watch: Watch) -> None:
    def harmless() -> None:
        log(logging.ERROR, "said", customer="cus_1", user="user_ada", url="http://127.0.0.1/x")

    assert looked_at(watch, harmless) == []


def test_every_secret_setting_is_one(world: World) -> None:
    settings = replace(
        Settings.from_environment(world.environment("http://localhost:8000")),
        stripe_webhook_secrets=("whsec_one_of_two", "whsec_two_of_two"),
        metrics_token="a token of operators",
        rate_limit_storage_uri="redis://:a_password@localhost",
    )
    watch = Watch()
    watch.keep_secrets_of(settings)
    assert watch.secrets >= {
        settings.stripe_secret_key,
        settings.supabase_key,
        "whsec_one_of_two",
        "whsec_two_of_two",
        "a token of operators",
        "redis://:a_password@localhost",
    }


def test_an_answer_is_looked_at_and_the_url_that_it_is_for_is_not(watch: Watch, app: Flask) -> None:
    def answered(status: int, **body: str) -> list[str]:
        watch.complaints.clear()
        response = app.json.response(**body)
        response.status_code = status
        watch.look_at_answer(app, response)
        return watch.complaints

    assert answered(200, url=PORTAL) == []
    assert answered(409, url=PORTAL)
    assert answered(200, plan=TOKEN)
    assert answered(503, error="ada@example.com")
    stand_in = Flask("a stand-in")
    watch.look_at_answer(stand_in, app.json.response(error=TOKEN))
    assert len(watch.complaints) == 1


def test_a_label_is_looked_at(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    own = CollectorRegistry()
    monkeypatch.setattr("watch.REGISTRY", own)
    counter = Counter("seen", "Seen", ["by"], registry=own)
    watch.look_at_metrics()
    assert watch.complaints == []
    counter.labels("ada@example.com").inc()
    watch.look_at_metrics()
    assert watch.complaints
