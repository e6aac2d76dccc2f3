"""What a request's headers ask for: the schema, and the form of the answer."""

import re

from flask import request

from sandbox.supabase.answers import refusal, unknown

COUNT = "count=exact"
OBJECT = "application/vnd.pgrst.object+json"
ARRAYS = ("application/json", "application/vnd.pgrst.array+json", "application/*", "*/*")


def check_headers() -> None:
    """Refuse what this stand-in does not heed."""
    if "Range" in request.headers:
        raise unknown("the header Range")
    if request.headers.get("Prefer", COUNT) != COUNT or (wants_count() and request.method != "GET"):
        raise unknown("the header Prefer")


def wants_count() -> bool:
    """Whether the answer is to say how many rows there are, whatever the page."""
    return request.headers.get("Prefer") == COUNT


def profile() -> str | None:
    """The schema that the request names; reading has another header than writing."""
    reads = request.method in ("GET", "HEAD")
    return request.headers.get("Accept-Profile" if reads else "Content-Profile")


def negotiated(schemas: tuple[str, ...]) -> str:
    """The schema that the request gets, of those that are exposed."""
    if (asked := profile() or schemas[0]) not in schemas:
        hint = f"Only the following schemas are exposed: {', '.join(schemas)}"
        raise refusal(406, "PGRST106", f"Invalid schema: {asked}", hint=hint)
    return asked


def schema() -> str:
    """Where this request's table or function is."""
    return str(request.environ["sandbox.schema"])


def wants_object() -> bool:
    """Whether the answer is to be one object, not an array."""
    accept = request.headers.get("Accept", "*/*")
    wanted = [kind for kind in re.split(r"\s*,\s*", accept) if kind in (OBJECT, *ARRAYS)]
    if not wanted:
        raise refusal(406, "PGRST107", f"None of these media types are available: {accept}")
    return wanted[0] == OBJECT
