"""What an operator sees: the request id, the lines of the log, and what is removed from them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from alone import Log
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given as for_all
from hypothesis import strategies as st

from portal_service import deadline, errors
from portal_service.log import (
    LOGGER,
    JsonFormatter,
    TextFormatter,
    configure_logging,
    request_id,
    scrub,
)
from portal_service.log import log as write
from portal_service.observability import note, observe

FORMATTERS = {"json": JsonFormatter(), "text": TextFormatter()}


def line(form: str, message: str = "said", error: Exception | None = None, **fields: Any) -> str:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("portal_service", logging.INFO, "x.py", 1, message, None, exc_info)
    record.fields = fields
    return FORMATTERS[form].format(record)


SECRETS = {
    "secret key": "sk_live_51AbCdEf",
    "test key": "sk_test_51AbCdEf",
    "restricted key": "rk_live_51AbCdEf",
    "webhook secret": "whsec_AbC123",
    "supabase key": "sb_secret_AbC123_x",
    "token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEifQ.c2ln-bmF0_dXJl",
    "portal": "https://billing.stripe.com/p/session/test_YWNjdF8x",
    "checkout": "https://checkout.stripe.com/c/pay/cs_test_a1#fidkdWxOYHwnPyd1blpxYHZxWjA0",
    "e-mail": "ada@example.com",
    "tagged e-mail": "ada.b-c+tag@mail.example.co.uk",
    "foreign e-mail": "jürgen@exämple.de",
}
AROUND = ["{}", "say {}", "{} says", "'{}'", '"{}"', "({})", "<{}>", "a,{},b", "key={}", "x:{}",
          "one\n{}", "{}\ntwo", "one\t{}", "one\r\n{}", "{{'k': '{}'}}"]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_removed_from_a_text(secret: str) -> None:
    for around in AROUND:
        scrubbed = scrub(around.format(secret))
        assert secret not in scrubbed, around
        # An address may end later than it looks.
        start = around.partition("{}")[0].replace("{{", "{") + "[removed]"
        assert scrubbed.startswith(start), around


@pytest.mark.parametrize(
    "harmless",
    ["", "customer cus_1", "sub_1A", "price_1", "req_AbC", "https://app.example.com/x", "user_ada",
     "skate", "a @ b", "@ada", "pause@", "sk_", "No such customer: 'cus_1'", "é☃"],
)  # fmt: skip
def test_what_an_operator_needs_is_left(harmless: str) -> None:
    assert scrub(harmless) == harmless


@pytest.mark.parametrize("form", FORMATTERS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_no_line_shows_a_secret_wherever_it_stands(form: str, secret: str) -> None:
    for said in (around.format(secret) for around in AROUND):
        lines = [
            line(form, said),
            line(form, field=said),
            line(form, field=[said], other={"deep": (said,)}),
            line(form, error=ValueError(said)),
            line(form, field=ValueError(said)),
        ]
        for text in lines:
            assert secret not in text
            assert json.dumps(secret).strip('"') not in text
            assert "[removed]" in text, text
            if form == "json":
                json.loads(text)


@for_all(st.text(max_size=30), st.sampled_from(sorted(SECRETS.values())), st.text(max_size=5))
def test_every_json_line_is_one_line_of_json(before: str, secret: str, after: str) -> None:
    text = line("json", before, field=f"{before} {secret} {after}", other=after)
    assert "\n" not in text
    read = json.loads(text)
    assert secret not in read["field"]


def test_a_json_line_has_time_level_message_request_and_fields() -> None:
    read = json.loads(line("json", "said", status=200, ok=True, nothing=None, many=[1, 2.5]))
    assert read.pop("time").endswith("+00:00")
    assert read == {
        "level": "INFO",
        "message": "said",
        "request_id": None,
        "status": 200,
        "ok": True,
        "nothing": None,
        "many": [1, 2.5],
    }


def test_a_json_line_can_hold_what_is_not_json() -> None:
    read = json.loads(line("json", at=deadline.OutOfTime, of={1, 2}, raw=b"x"))
    assert "OutOfTime" in read["at"]


def test_a_text_line_has_what_there_is() -> None:
    text = line("text", "said", status=200, nothing=None)
    assert text.endswith("INFO said status=200")


@pytest.mark.parametrize("form", FORMATTERS)
def test_an_exception_is_told_with_its_traceback(form: str) -> None:
    try:
        raise ValueError("what went wrong")
    except ValueError as error:
        text = line(form, error=error)
    assert "Traceback" in text
    assert "what went wrong" in text


@pytest.fixture
def logger_as_it_was() -> Iterator[None]:
    before = LOGGER.handlers, LOGGER.level, LOGGER.propagate
    yield
    LOGGER.handlers, level, LOGGER.propagate = before
    LOGGER.setLevel(level)


@pytest.mark.usefixtures("logger_as_it_was")
@pytest.mark.parametrize(("form", "starts"), [("json", '{"time"'), ("text", "2")])
def test_the_log_goes_to_standard_error_once_in_the_form_wanted(
    form: str, starts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(form, "INFO")
    configure_logging(form, "INFO")
    write(logging.INFO, "said", field=1)
    write(logging.DEBUG, "not for now")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(starts)
    assert printed.err.count("said") == 1
    assert "not for now" not in printed.err


# Requests


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__)
    observe(app)
    errors.register(app)

    @app.get("/good/<int:number>")
    def good(number: int) -> dict[str, Any]:
        note(number=number)
        return {"id": request_id(), "left": deadline.remaining()}

    @app.get("/bad")
    def bad() -> None:
        raise ValueError("ada@example.com")

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app.test_client()


@pytest.mark.parametrize("sent", ["12345678", "a-b_c.D9", "x" * 64, "0af7651916cd43dd8448eb211c80"])
def test_a_good_request_id_is_taken_over(client: FlaskClient, sent: str) -> None:
    answer = client.get("/good/1", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] == sent == answer.get_json()["id"]


@pytest.mark.parametrize(
    "sent",
    ["", "1234567", "x" * 65, "with space", "semi;colon", "<script>alert", '{"a": 12345}',
     "é" * 9, "12345678/..", "a" * 5000, "12345678,12345678", "=12345678"],
)  # fmt: skip
def test_another_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    answer = client.get("/good/1", headers={"X-Request-ID": sent.encode().decode("latin-1")})
    given = answer.headers["X-Request-ID"]
    assert given != sent
    assert len(given) == 32 and given.isalnum()
    assert given == answer.get_json()["id"]


def test_two_requests_have_two_ids_and_none_is_left_behind(client: FlaskClient) -> None:
    ids = {client.get("/good/1").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert request_id() is None


@pytest.mark.parametrize("path", ["/good/1", "/bad", "/nowhere", "/healthz"])
def test_every_answer_has_its_id_and_is_kept_by_nobody(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Cache-Control"] == "no-store"
    if answer.status_code >= 400:
        assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"]


def test_every_request_has_a_budget_that_ends_with_it(client: FlaskClient) -> None:
    assert 9 < client.get("/good/1").get_json()["left"] <= 10
    assert deadline.remaining() is None


def test_a_request_is_one_line_with_what_was_noted(client: FlaskClient, log: Log) -> None:
    client.get("/good/7?token=sk_live_x")
    fields = log.fields("request")
    assert fields.pop("ms") >= 0
    assert fields == {
        "method": "GET", "route": "unknown", "status": 200, "number": 7,
    } or fields == {
        "method": "GET", "route": "/good/<int:number>", "status": 200, "number": 7,
    }  # fmt: skip
    assert "sk_live_x" not in log.text


def test_notes_of_one_request_are_not_those_of_the_next(client: FlaskClient, log: Log) -> None:
    client.get("/good/7")
    log.records.clear()
    client.get("/nowhere/at/all")
    assert "number" not in log.fields("request")
    assert log.fields("request")["route"] == "unknown"


def test_an_unexpected_error_is_logged_and_not_told(client: FlaskClient, log: Log) -> None:
    answer = client.get("/bad")
    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal_error")
    assert "ada@" not in answer.get_data(as_text=True)
    assert log.at(logging.ERROR) == ["unexpected error"]
    (record,) = [r for r in log.records if r.levelno == logging.ERROR]
    assert record.exc_info
    assert "ada@" not in JsonFormatter().format(record)


def test_the_questions_of_machines_do_not_fill_the_log(client: FlaskClient, log: Log) -> None:
    client.get("/healthz")
    assert log.at(logging.INFO) == []


@pytest.mark.parametrize(
    ("error", "code", "status", "retry_after"),
    [
        (deadline.OutOfTime(), "stripe_unavailable", 503, "5"),
        (errors.ServiceError("rate_limited", retry_after=7), "rate_limited", 429, "7"),
        (errors.ServiceError("unauthorized"), "unauthorized", 401, None),
        (errors.ServiceError("invalid_request", "No", status=413), "invalid_request", 413, None),
    ],
    ids=lambda value: str(value),
)
def test_every_failure_is_answered_in_the_contracts_shape(
    error: Exception, code: str, status: int, retry_after: str | None
) -> None:
    app = Flask(__name__)
    observe(app)
    errors.register(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = app.test_client().get("/")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == retry_after
    body = answer.get_json()
    assert body["code"] == code
    assert set(body) == {"error", "code", "request_id"}
    assert body["error"][0].isupper()


@pytest.mark.parametrize(("code", "status_and_sentence"), errors.ERRORS.items())
def test_only_what_can_help_says_when_to_try_again(
    code: str, status_and_sentence: tuple[int, str]
) -> None:
    status, sentence = status_and_sentence
    error = errors.ServiceError(code)
    assert (error.status, error.sentence) == (status, sentence)
    assert bool(error.retry_after) is (status == 503)


def test_the_sentences_of_the_original_stay_word_for_word() -> None:
    assert [errors.ERRORS[c] for c in ("unauthorized", "user_not_found", "no_subscription")] == [
        (401, "Unauthorized"), (404, "User not found"), (404, "No subscription found"),
    ]  # fmt: skip
