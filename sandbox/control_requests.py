"""What the control API's requests and answers have in common: their fields, and the faults."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

from sandbox.faults import Faults

T = TypeVar("T")


def blueprint(faults: Faults) -> Blueprint:
    """The control API of a stand-in, at first with its faults alone."""
    made = Blueprint("control", __name__, url_prefix="/_sandbox")

    @made.get("/faults")
    def show_faults() -> ResponseReturnValue:
        return faults.as_dict()

    @made.post("/faults")
    def change_faults() -> ResponseReturnValue:
        changes = body()
        tried(lambda: faults.update(changes))
        return faults.as_dict()

    made.register_error_handler(HTTPException, answer_error)
    return made


def body(*names: str) -> dict[str, Any]:
    """The JSON object that was sent, whatever its content type; none is an empty one.

    names: the fields that it may have; without any, all.
    """
    if not request.get_data():
        return {}
    given = request.get_json(force=True, silent=True)
    if not isinstance(given, dict):
        raise BadRequest("The body is a JSON object")
    unknown = set(given) - set(names)
    if names and unknown:
        raise BadRequest(f"There is no field {min(unknown)} here; there are: {', '.join(names)}")
    return given


def text(given: dict[str, Any], name: str, default: str = "") -> str:
    value = given.get(name, default)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} is missing or not a text")
    return value


def number(given: dict[str, Any], name: str) -> int:
    value = given[name]
    if type(value) is not int or value < 1:
        raise BadRequest(f"{name} is a whole number above 0")
    return value


def claims(given: dict[str, Any]) -> dict[str, Any]:
    """The claims of a session token that are to differ from Clerk's."""
    value = given.get("claims", {})
    if not isinstance(value, dict):
        raise BadRequest("claims is an object: claim to value, or to null to leave it out")
    return value


def tried(act: Callable[[], T]) -> T:
    """What the stand-ins refuse, as an answer: an unknown id is 404, the rest is 400."""
    try:
        return act()
    except KeyError as error:
        raise NotFound(str(error.args[0])) from error
    except ValueError as error:
        raise BadRequest(str(error)) from error


def answer_error(error: HTTPException) -> ResponseReturnValue:
    return jsonify(error=error.description), error.code or 500
