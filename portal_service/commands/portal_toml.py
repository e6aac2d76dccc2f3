"""What `portal.toml` may hold: Stripe's own names for a portal configuration, held to the SDK's
types, which are made from Stripe's description of its API. Reads text; asks nobody.
"""

import re
import tomllib
from collections.abc import Collection, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Json = dict[str, Any]

# Ours, at [features.subscription_update]: what is sold is filled in, and how many of it.
SOLD, QUANTITY = "STRIPE_PLANS", "adjustable_quantity"


class WrongFile(Exception):
    """Raised when the file won't do; a line for each problem, with the number of its line."""


def read(text: str, spec: Any, not_here: Collection[str] = ()) -> Json:
    """The parameters in the file, checked. Raises WrongFile.

    spec: the SDK's type of the parameters. not_here: those of it that are not for the file.
    `products` and `adjustable_quantity` of [features.subscription_update] stay as they are written.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongFile(str(error)) from error
    checked, ours = _without_ours(given)
    problems = [
        f"line {_line(text, path)}: {'.'.join(path)} {what}"
        for path, what in (*_wrong(checked, spec, (), not_here), *_wrong_ours(ours, given))
    ]
    if problems:
        raise WrongFile("\n".join(problems))
    return given


def _without_ours(given: Json) -> tuple[Json, Json]:
    """What is Stripe's, and what of [features.subscription_update] we read ourselves."""
    features = given.get("features")
    update = features.get("subscription_update") if isinstance(features, dict) else None
    if not isinstance(update, dict):
        return given, {}
    ours = {name: update[name] for name in ("products", QUANTITY) if name in update}
    theirs = {name: value for name, value in update.items() if name not in ours}
    return {**given, "features": {**features, "subscription_update": theirs}}, ours  # type: ignore[dict-item]


def _wrong_ours(ours: Json, given: Json) -> Iterator[tuple[tuple[str, ...], str]]:
    at = ("features", "subscription_update")
    if ours.get("products", SOLD) != SOLD:
        yield (*at, "products"), f'is "{SOLD}": what is sold stands there, and in no second place'
    quantity = ours.get(QUANTITY)
    if quantity is None:
        return
    if not isinstance(quantity, dict) or not isinstance(quantity.get("enabled"), bool):
        yield (*at, QUANTITY), "is a table with enabled, and perhaps minimum and maximum"
        return
    for name, value in quantity.items():
        if name not in ("enabled", "minimum", "maximum"):
            yield (*at, QUANTITY, name), "is unknown; there are enabled, minimum and maximum"
        elif name != "enabled" and (isinstance(value, bool) or not isinstance(value, int)):
            yield (*at, QUANTITY, name), "is a whole number"


def _wrong(
    given: Any, spec: Any, at: tuple[str, ...], not_here: Collection[str] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a table holds what its type does not, and why."""
    hints = get_type_hints(spec, localns={"Mapping": dict, "StripeContext": str})
    known = {name: hint for name, hint in hints.items() if name not in not_here}
    for name, value in given.items():
        path = (*at, name)
        if name in known:
            yield from _wrong_value(value, list(_options(known[name])), path)
        else:
            yield path, f"is unknown; there are {', '.join(sorted(known))}"
    for name in sorted(spec.__required_keys__ & known.keys() - given.keys()):
        yield (*at, name), "is missing"


def _wrong_value(
    value: Any, options: list[Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    words = [
        word for option in options if get_origin(option) is Literal for word in get_args(option)
    ]
    table = next((option for option in options if _is_table(option)), None)
    listed = next((option for option in options if get_origin(option) is list), None)
    if table is not None and isinstance(value, dict):
        yield from _wrong(value, table, path)
    elif listed is not None and isinstance(value, list):
        inner = list(_options(get_args(listed)[0]))
        for one in value:
            yield from _wrong_value(one, inner, path)
    elif [word for word in words if word]:
        if value not in words:
            yield path, f"is one of {', '.join(sorted(filter(None, words)))}"
    elif not any(isinstance(value, kind) and type(value) is kind for kind in _plain(options)):
        yield path, f"is {_called(table, listed, options)}"


def _called(table: Any, listed: Any, options: list[Any]) -> str:
    if table is not None:
        return "a table"
    if listed is not None:
        return "a list"
    return {bool: "true or false", int: "a whole number"}.get(_plain(options)[0], "a text")


def _is_table(hint: Any) -> bool:
    """Whether it is a TypedDict, whosever: the SDK takes those of typing_extensions."""
    return hasattr(hint, "__required_keys__")


def _plain(options: list[Any]) -> list[type]:
    return [option for option in options if option in (bool, int, str)] or [str]


def _options(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Union or type(hint).__name__ == "UnionType":
        for member in get_args(hint):
            yield from _options(member)
    else:
        yield hint


def _line(text: str, path: tuple[str, ...]) -> int:
    """Where a key stands, or the table that it is missing in."""
    table: tuple[str, ...] = ()
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.\s\"-]+?)\s*\]", line):
            table = tuple(part.strip().strip('"') for part in header[1].split("."))
            here = table
        elif key := re.match(r"\s*([\w.\"-]+)\s*=", line):
            here = (*table, *key[1].replace('"', "").split("."))
        else:
            continue
        if here == path:
            return number
        if path[: len(here)] == here and len(here) > best[0]:
            best = (len(here), number)
    return best[1]
