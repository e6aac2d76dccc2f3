"""The OpenAPI document as a judge of answers, and of the requests before them."""

import json
import re
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator
from werkzeug.test import TestResponse

from portal_service import health

PREFIX = "/api/stripe"
DOCUMENT: dict[str, Any] = health.document(PREFIX)
CLERK, STRIPE, ANYONE = "a Clerk session", "Stripe", "anyone"
CLERK_ITSELF = "Clerk"

# What must never be in an error: addresses, keys, tokens, Stripe's ids, e-mail addresses.
_LEAKS = re.compile(
    r"https?://|[sr]k_(test|live)|whsec_|eyJ|\b(cus|sub|cs|evt|req)_[A-Za-z0-9]|@|No such"
)


def check(answer: TestResponse, prefix: str) -> None:
    """Fail unless the answer is one that the document describes."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", answer.headers["X-Request-ID"])
    kept = answer.request.path == f"{prefix}/plans" and answer.status_code in (200, 304)
    kept = kept and answer.request.method in ("GET", "HEAD")
    assert answer.headers["Cache-Control"] == ("public, max-age=60" if kept else "no-store")
    assert ("Retry-After" in answer.headers) == (
        answer.status_code in (429, 503) and _error(answer)
    )
    if answer.request.method in ("OPTIONS", "HEAD"):
        return
    where, response = _described(answer.request.method, answer.request.path, prefix, answer)
    for name, header in response["headers"].items():
        value = answer.headers.get(name)
        assert value is not None, f"{name} is missing"
        header = _found(header["$ref"])
        number = header["schema"].get("type") == "integer"
        _validate(header["schema"], int(value) if number else value)
    if "content" not in response:
        assert not answer.data
        return
    (media, content), *_ = response["content"].items()
    assert answer.mimetype == media
    value = answer.json if media == "application/json" else answer.text
    _validate(content["schema"], value, where)
    if _error(answer):
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        assert not _LEAKS.search(answer.text), answer.text


def check_request(path: str, body: Any) -> None:
    """Fail unless the document allows this JSON body. For requests that were accepted."""
    schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    _validate(schema, body)


def check_value(schema: dict[str, Any], value: Any) -> None:
    """Fail unless a schema of the document allows this value."""
    _validate(schema, value)


def operations() -> set[tuple[str, str]]:
    return {(m.upper(), path) for path, item in DOCUMENT["paths"].items() for m in item}


def documented_path(path: str, prefix: str) -> str:
    """The path as the document has it, for a service with another prefix."""
    if path in DOCUMENT["paths"] and not path.startswith(PREFIX):
        return path  # one of the root
    if path.startswith(f"{prefix}/"):
        return PREFIX + path.removeprefix(prefix)
    return path if prefix == PREFIX else f"/not below {prefix}"


def _described(
    method: str, path: str, prefix: str, answer: TestResponse
) -> tuple[str, dict[str, Any]]:
    path = documented_path(path, prefix)
    item = DOCUMENT["paths"].get(path)
    if item is None:
        assert answer.status_code == 404, f"{answer.status_code} at a path that is not documented"
        return path, _found("#/components/responses/NotFound")
    if method.lower() not in item:
        assert answer.status_code == 405, f"{answer.status_code} for a method not documented"
        return path, _found("#/components/responses/MethodNotAllowed")
    responses = item[method.lower()]["responses"]
    status = str(answer.status_code)
    assert status in responses, f"{method} {path} answered {status}: {answer.text}"
    response = responses[status]
    return path, _found(response["$ref"]) if "$ref" in response else response


def _found(reference: str) -> Any:
    value: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def _validate(schema: dict[str, Any], value: Any, where: str = "") -> None:
    errors = _validator(json.dumps(schema)).iter_errors(value)
    found = [f"{where} {error.instance_path}: {error.message}" for error in errors]
    assert not found, found


@cache
def _validator(schema: str) -> Draft202012Validator:
    """The document itself stands around the schema, so that its references are found."""
    return Draft202012Validator({**DOCUMENT, "allOf": [json.loads(schema)]})


def _error(answer: TestResponse) -> bool:
    return answer.is_json and "code" in (answer.json or {})
