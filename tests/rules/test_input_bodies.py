"""The body of a request: a small JSON object of known fields, or none at all."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from portal_service import request_body
from portal_service.errors import ServiceError


def refusal(ask: Callable[[], object]) -> None:
    with pytest.raises(ServiceError) as refused:
        ask()
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)


FIELDS = ("plan", "quantity", "locale")


@pytest.fixture(scope="module")
def app() -> Iterator[Flask]:
    yield Flask(__name__)


def body(
    app: Flask, data: bytes | str, content_type: str | None = "application/json"
) -> dict[str, Any]:
    with app.test_request_context("/", method="POST", data=data, content_type=content_type):
        return request_body.json_body(FIELDS)


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain"])
@pytest.mark.parametrize("data", [b"", b"  \r\n"])
def test_no_body_at_all_is_an_empty_one(app: Flask, data: bytes, content_type: str | None) -> None:
    assert body(app, data, content_type) == {}


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("{}", {}),
        ('{"plan": "pro"}', {"plan": "pro"}),
        ('{"plan": null, "quantity": 2}', {"quantity": 2}),  # null is as good as not sent
        ('{"plan": "pro", "plan": "team"}', {"plan": "team"}),
        ('{"plan": "\\ud800"}', {"plan": "\ud800"}),
        ('{"plan": "' + "x" * 16_000 + '"}', {"plan": "x" * 16_000}),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_the_fields_of_a_body_are_taken(app: Flask, data: str, fields: dict[str, Any]) -> None:
    assert body(app, data) == fields


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/x+json"])
def test_json_may_say_more_about_itself(app: Flask, content_type: str) -> None:
    assert body(app, "{}", content_type) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"[]", b"1", b"null", b"true", b'"x"', b"plan=pro", b"{'plan': 'pro'}", b"\xff\xfe",
        b'{"plan": "\xff"}', b"\0", b"{}{}", b'{"quantity": ' + b"9" * 5000 + b"}",
        b"[" * 8000, b'{"other": 1}', b'{"Plan": "pro"}', b'{"\\ud800": 1}', b'{"": 1}',
        b'{"__proto__": {}}',
    ],
    ids=lambda data: ascii(data)[:30],
)  # fmt: skip
def test_another_body_is_refused(app: Flask, data: bytes) -> None:
    refusal(lambda: body(app, data))


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_does_not_say_that_it_is_json_is_415(
    app: Flask, content_type: str | None
) -> None:
    with pytest.raises(ServiceError) as refused:
        body(app, '{"plan": "pro"}', content_type)
    assert (refused.value.code, refused.value.status) == ("invalid_request", 415)


def padded(size: int) -> str:
    return "{}" + " " * (size - 2)


def test_a_body_may_be_16_kib_and_no_more(app: Flask) -> None:
    assert body(app, padded(16 * 1024)) == {}
    with pytest.raises(ServiceError) as refused:
        body(app, padded(16 * 1024 + 1))
    assert (refused.value.code, refused.value.status) == ("invalid_request", 413)


def test_a_body_that_announces_more_is_not_read(app: Flask) -> None:
    with pytest.raises(HTTPException) as refused:
        body(app, padded(10**6))
    assert refused.value.code == 413


def test_a_webhook_may_be_1_mib_and_no_more(app: Flask) -> None:
    for size, fits in ((2**20, True), (2**20 + 1, False)):
        with app.test_request_context("/", method="POST", data=b" " * size):
            if fits:
                assert len(request_body.raw_body(request_body.WEBHOOK_LIMIT)) == size
            else:
                with pytest.raises(ServiceError) as refused:
                    request_body.raw_body(request_body.WEBHOOK_LIMIT)
                assert refused.value.status == 413
