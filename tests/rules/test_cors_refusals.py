"""Why a browser keeps an answer from its page."""

import pytest

from portal_service.cors import refusal

ORIGIN = {"Origin": "https://app.example.com"}
LET_IN = {
    "Access-Control-Allow-Origin": "https://app.example.com",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "authorization, Content-Type",
}


def asks(method: str = "POST", headers: str = "authorization,content-type") -> dict[str, str]:
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return ORIGIN | wanted


@pytest.mark.parametrize(
    ("method", "asked", "answered", "reason"),
    [
        ("GET", {}, {}, None),
        ("OPTIONS", {}, {}, None),
        ("GET", ORIGIN, LET_IN, None),
        ("GET", ORIGIN, {}, "origin"),
        ("OPTIONS", ORIGIN, {}, "origin"),
        ("OPTIONS", asks(), {}, "preflight_origin"),
        ("OPTIONS", asks(), LET_IN, None),
        ("OPTIONS", asks(headers=""), LET_IN, None),
        ("OPTIONS", asks(headers="Authorization, x-mine"), LET_IN, "preflight_header"),
        ("OPTIONS", asks("PUT"), LET_IN, "preflight_method"),
        ("OPTIONS", asks("PUT"), LET_IN | {"Access-Control-Allow-Methods": "PUT"}, None),
        ("POST", asks("PUT", "x-mine"), LET_IN, None),
    ],
)
def test_a_refusal_has_its_reason(
    method: str, asked: dict[str, str], answered: dict[str, str], reason: str | None
) -> None:
    assert refusal(method, asked, answered) == reason
