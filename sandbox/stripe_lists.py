"""Lists as Stripe's API gives them: newest first, filtered, in pages; and `expand`."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sandbox import stripe_checkout
from sandbox import stripe_shapes as shapes
from sandbox.stripe_errors import ParameterError, StripeError, exclusive, not_found

if TYPE_CHECKING:
    from sandbox.stripe_state import StripeState

Json = dict[str, Any]

PAGE = 10
LARGEST_PAGE = 100

COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def page(url: str, kind: str, objects: Iterable[Json], params: Json) -> Json:
    """One page of `objects`, which come oldest first and are listed newest first."""
    newest_first = list(objects)[::-1]
    limit = _limit(params)
    if "starting_after" in params and "ending_before" in params:
        raise exclusive("starting_after", "ending_before")
    if "ending_before" in params:
        end = _place(newest_first, kind, params, "ending_before")
        start = max(0, end - limit)
        return shapes.listing(url, newest_first[start:end], has_more=start > 0)
    start = 0
    if "starting_after" in params:
        start = _place(newest_first, kind, params, "starting_after") + 1
    more = len(newest_first) > start + limit
    return shapes.listing(url, newest_first[start : start + limit], has_more=more)


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


def expanded(state: "StripeState", answer: Json, paths: list[str]) -> Json:
    """Put whole objects in the place of ids."""
    for path in paths:
        name = path.removeprefix("data.") if answer["object"] == "list" else path
        for object in answer["data"] if answer["object"] == "list" else [answer]:
            _expand(state, object, name, path)
    return answer


def _expand(state: "StripeState", object: Json, name: str, path: str) -> None:
    stores = {
        "customer": state.customers,
        "subscription": state.subscriptions,
        "invoice": state.invoices,
        "latest_invoice": state.invoices,
    }
    if name == "line_items" and object["object"] == "checkout.session":
        object[name] = stripe_checkout.line_items(state, object["id"])
    elif name not in stores or name not in object:
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    elif object[name] is not None:
        object[name] = stores[name][object[name]]


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
