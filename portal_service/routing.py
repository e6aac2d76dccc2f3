"""What our paths take: all below our prefix is ours, so unknown paths and methods answer in our
shape, in a host app too.
"""

from typing import NoReturn

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"]


def add_catch_all(bp: Blueprint) -> None:
    bp.add_url_rule("/<path:unknown>", view_func=_refuse_unknown, methods=_METHODS)
    bp.add_url_rule("/", view_func=_refuse_unknown, methods=_METHODS, strict_slashes=False)
    bp.after_request(_correct_allow_header)


def methods_here() -> set[str]:
    """What the path that was asked for takes. Our paths have no variables, but for the one that
    catches what is unknown, and that does not count.
    """
    return {
        method
        for rule in current_app.url_map.iter_rules()
        if rule.rule == request.path and rule is not request.url_rule
        for method in rule.methods or ()
    }


def _refuse_unknown(unknown: str = "") -> NoReturn:
    del unknown
    raise MethodNotAllowed if methods_here() else NotFound


def _correct_allow_header(response: Response) -> Response:
    """Flask's own answer to OPTIONS counts what catches the unknown too."""
    if request.method == "OPTIONS" and request.url_rule and not request.url_rule.arguments:
        response.headers["Allow"] = ", ".join(sorted(request.url_rule.methods or ()))
    return response
