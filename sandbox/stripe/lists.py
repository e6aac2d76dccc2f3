"""Finding things: one by its id, or lists as Stripe's API gives them, filtered and in pages."""

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.account import Account
from sandbox.stripe.errors import ParameterError, exclusive, not_found

Json = dict[str, Any]

PAGE = 10
LARGEST_PAGE = 100

COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def stored(
    account: Account, store: dict[str, Json], kind: str, id: str, param: str, status: int = 400
) -> Json:
    """The object of this id. One of the other mode is missing too, and Stripe says that it is.

    status: 404 when the id stood in the path, 400 when it was a parameter.
    """
    found = store.get(id)
    if found is None:
        raise not_found(kind, id, param, status)
    if found.get("livemode", account.livemode) != account.livemode:
        raise not_found(kind, id, param, status, theirs="live" if found["livemode"] else "test")
    return found


def check_customer(account: Account, params: Json) -> None:
    """Lists go on knowing a deleted customer; one that never was is an error."""
    if params.get("customer") and params["customer"] not in account.customers:
        raise not_found("customer", params["customer"], "customer")


def page(url: str, kind: str, objects: Iterable[Json], params: Json) -> Json:
    """One page of `objects`, which come oldest first and are listed newest first."""
    return page_in_order(url, kind, list(objects)[::-1], params)


def page_in_order(url: str, kind: str, objects: list[Json], params: Json) -> Json:
    """One page of `objects`, which are listed as they come."""
    limit = _limit(params)
    if "starting_after" in params and "ending_before" in params:
        raise exclusive("starting_after", "ending_before")
    if "ending_before" in params:
        end = _place(objects, kind, params, "ending_before")
        start = max(0, end - limit)
        return shapes.listing(url, objects[start:end], has_more=start > 0)
    start = 0
    if "starting_after" in params:
        start = _place(objects, kind, params, "starting_after") + 1
    more = len(objects) > start + limit
    return shapes.listing(url, objects[start : start + limit], has_more=more)


def created_within(object: Json, bounds: Any) -> bool:
    """Whether an object fits the filter `created`: a moment, or a hash of bounds."""
    if bounds is None:
        return True
    if isinstance(bounds, int):
        return bool(object["created"] == bounds)
    return all(COMPARISONS[name](object["created"], bound) for name, bound in bounds.items())


def type_matches(type: str, pattern: str) -> bool:
    """`customer.subscription.*` stands for every event of its group."""
    return type == pattern or (pattern.endswith("*") and type.startswith(pattern[:-1]))


def _limit(params: Json) -> int:
    limit = int(params.get("limit", PAGE))
    if not 1 <= limit <= LARGEST_PAGE:
        rule = "greater than or equal to 1" if limit < 1 else "less than or equal to 100"
        raise ParameterError(
            f"This value must be {rule} (it currently is '{limit}').",
            code="parameter_invalid_integer",
            param="limit",
        )
    return limit


def _place(objects: list[Json], kind: str, params: Json, name: str) -> int:
    for place, object in enumerate(objects):
        if object["id"] == params[name]:
            return place
    raise not_found(kind, params[name], name)
