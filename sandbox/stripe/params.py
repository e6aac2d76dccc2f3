"""Parameters of a call, read from the form and held to the types that Stripe's SDK ships.

The TypedDicts of `stripe.params` are generated from Stripe's own description of its API, so
names, required fields and enumerations are taken from there and stand nowhere else.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stripe._request_options import RequestOptions  # the SDK's own options are no parameters
from typing_extensions import is_typeddict

from sandbox.stripe.errors import ParameterError, missing

KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")

METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


def read(pairs: Iterable[tuple[str, str]], spec: Any) -> dict[str, Any]:
    """The parameters of a form or query, checked and typed. Raises ParameterError."""
    checked: dict[str, Any] = _object(nested(pairs), spec, "")
    return checked


def pairs_of(body: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """JSON as the pairs of a form, which are what is checked."""
    if isinstance(body, dict | list):
        for name, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield from pairs_of(value, f"{at}[{name}]" if at else str(name))
    else:
        yield at, str(body).lower() if isinstance(body, bool) else str(body)


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`a[b][0]=x` → {"a": {"b": {"0": "x"}}}; only the types know which hash is a list."""
    tree: dict[str, Any] = {}
    for key, value in pairs:
        match = KEY.fullmatch(key)
        if match is None:
            raise _unknown(key)
        parts = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        _put(tree, parts, value, key)
    return tree


def _put(tree: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    for part in parts[:-1]:
        part = part or str(len(tree))
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ParameterError("Invalid hash", param=key)
    last = parts[-1] or str(len(tree))
    if isinstance(tree.get(last), dict):
        raise ParameterError("Invalid hash", param=key)
    tree[last] = value


@cache
def fields(spec: Any) -> Mapping[str, Any]:
    """The parameters of a TypedDict with their types."""
    names = {"Mapping": Mapping, "StripeContext": str}  # what RequestOptions is written with
    hints = get_type_hints(spec, localns=names)
    own = RequestOptions.__annotations__
    return {name: hint for name, hint in hints.items() if name not in own}


def _object(value: Any, spec: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParameterError("Invalid object", param=path)
    known = fields(spec)
    unknown = [_join(path, name) for name in value if name not in known]
    if unknown:
        raise _unknown(*unknown, known=[_join(path, name) for name in known])
    checked = {name: _value(value[name], known[name], _join(path, name)) for name in value}
    for name in known:
        if name in spec.__required_keys__ and name not in value:
            raise missing(_join(path, name))
    _chosen_hash(checked, known, path)
    return checked


def _chosen_hash(checked: dict[str, Any], known: Mapping[str, Any], path: str) -> None:
    """`type: "redirect"` needs the hash `redirect` where that has a required field."""
    chosen = str(checked.get("type"))
    if chosen in known and chosen not in checked:
        specs = [hint for hint in options(known[chosen]) if is_typeddict(hint)]
        if any(spec.__required_keys__ for spec in specs):
            raise missing(_join(path, chosen))


def _value(value: Any, hint: Any, path: str) -> Any:
    members = options(hint)
    literals = [word for option in members for word in words_of(option)]
    if value == "":
        return _empty(literals, members, path)
    if isinstance(value, dict):
        return _hash(value, members, path)
    if any(is_typeddict(option) or get_origin(option) is dict for option in members) and not (
        set(members) & {int, str}
    ):
        raise ParameterError("Invalid object", param=path)
    return _scalar(value, members, [word for word in literals if word != ""], path)


def _empty(literals: list[Any], members: list[Any], path: str) -> str:
    if "" not in literals and not any(get_origin(option) is list for option in members):
        raise ParameterError(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to "
            f"unset a field; however '{path}' cannot be unset. You should remove '{path}' from "
            "your request or supply a non-empty value.",
            code="parameter_invalid_empty",
            param=path,
        )
    return ""


def _hash(value: dict[str, Any], members: list[Any], path: str) -> Any:
    for option in members:
        if is_typeddict(option):
            return _object(value, option, path)
        if get_origin(option) is dict:
            return _map(value, get_args(option)[1], path)
        if get_origin(option) is list and all(key.isdecimal() for key in value):
            (inner,) = get_args(option)
            ordered = sorted(value.items(), key=lambda item: int(item[0]))
            return [_value(item, inner, f"{path}[{key}]") for key, item in ordered]
    raise ParameterError("Invalid string: a hash", param=path)


def _map(value: dict[str, Any], inner: Any, path: str) -> dict[str, Any]:
    if path.split("[")[-1].rstrip("]") == "metadata":
        return _metadata(value, path)
    return {key: _value(item, inner, _join(path, key)) for key, item in value.items()}


def _metadata(value: dict[str, Any], path: str) -> dict[str, str]:
    if len(value) > METADATA_KEYS:
        raise ParameterError(
            f"Metadata can only have up to {METADATA_KEYS} keys, but you passed in {len(value)}.",
            param=path,
        )
    for key, text in value.items():
        if len(key) > METADATA_KEY_LENGTH:
            raise ParameterError(
                f"Metadata keys can have up to {METADATA_KEY_LENGTH} characters, but you passed "
                f"in a key that is {len(key)} characters. Invalid key: {key}",
                param=path,
            )
        if not isinstance(text, str):
            raise ParameterError("Metadata values must be strings", param=f"{path}[{key}]")
        if len(text) > METADATA_VALUE_LENGTH:
            raise ParameterError(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters, but you "
                f"passed in a value that is {len(text)} characters. Invalid value: {text}",
                param=f"{path}[{key}]",
            )
    return value


def _scalar(value: str, members: list[Any], enum: list[Any], path: str) -> Any:
    if any(get_origin(option) is list for option in members):
        raise ParameterError("Invalid array", param=path)
    if value in enum:
        return value
    if int in members:
        return _integer(value, path)
    if bool in members:
        if value not in ("true", "false"):
            raise ParameterError(f"Invalid boolean: {value}", param=path)
        return value == "true"
    if Decimal in members or float in members:
        return _decimal(value, path)
    if enum:
        raise ParameterError(f"Invalid {path}: must be one of {_or(enum)}", param=path)
    return value


def _integer(value: str, path: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise ParameterError(
            f"Invalid integer: {value}", code="parameter_invalid_integer", param=path
        )
    return int(value)


def _decimal(value: str, path: str) -> str:
    try:
        Decimal(value)
    except InvalidOperation:
        raise ParameterError(f"Invalid decimal: {value}", param=path) from None
    return value


def options(hint: Any) -> list[Any]:
    """A union's members; `list[X]` and the like stand for themselves."""
    if get_origin(hint) in (Union, UnionType):
        return [option for member in get_args(hint) for option in options(member)]
    return [hint]


def words_of(hint: Any) -> tuple[Any, ...]:
    """The words of an enumeration; none of any other type."""
    return get_args(hint) if get_origin(hint) is Literal else ()


def _unknown(*names: str, known: Iterable[str] = ()) -> ParameterError:
    text = f"Received unknown parameter{'s' if len(names) > 1 else ''}: {', '.join(names)}"
    near = difflib.get_close_matches(names[0], list(known), n=1)
    if len(names) == 1 and near:
        text += f". Did you mean {near[0]}?"
    return ParameterError(text, code="parameter_unknown", param=names[0])


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _or(words: list[Any]) -> str:
    return ", ".join(words[:-1]) + (", or " if len(words) > 1 else "") + str(words[-1])
