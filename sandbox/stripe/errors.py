"""Stripe's refusals: what an error is and how Stripe words the common ones."""

from typing import Any

# Where a permission is not called as the resource is.
PERMISSIONS = {"prices": "plan", "billing_portal": "customer_portal"}


class StripeError(Exception):
    """An answer of the API that is not 200. The message is Stripe's sentence."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code:
            error["code"] = self.code
            slug = self.code.replace("_", "-")
            error["doc_url"] = f"https://docs.stripe.com/error-codes/{slug}"
        if self.param:
            error["param"] = self.param
        return {"error": error}


class ParameterError(StripeError):
    """The parameters themselves are wrong. Stripe says so before anything is executed."""


def missing(param: str) -> ParameterError:
    return ParameterError(
        f"Missing required param: {param}.", code="parameter_missing", param=param
    )


def exclusive(*params: str) -> ParameterError:
    names = ", ".join(params)
    return ParameterError(
        f"You may only specify one of these parameters: {names}.",
        code="parameters_exclusive",
        param=params[0],
    )


def not_found(
    kind: str, id: str, param: str, status: int = 400, *, theirs: str | None = None
) -> StripeError:
    """404 when the id stood in the path, 400 when it was a parameter.

    theirs: the mode that does have it, live or test.
    """
    message = f"No such {kind}: '{id}'"
    if theirs:
        ours = "test" if theirs == "live" else "live"
        message += (
            f"; a similar object exists in {theirs} mode, but a {ours} mode key was used to make "
            "this request."
        )
    return StripeError(message, status=status, code="resource_missing", param=param)


def not_permitted(key: str, method: str, path: str) -> StripeError:
    """A restricted key without the permission that the call needs."""
    area = path.removeprefix("/v1/").split("/")[0]
    verb = "read" if method == "GET" else "write"
    words = area.replace("_", " ").title()
    name = PERMISSIONS.get(area, area.removesuffix("s"))
    return StripeError(
        f"Permission denied. The provided key '{masked(key)}' does not have the required "
        f"permissions for this endpoint on account 'acct_1Sandbox'. Enabling \"{words} "
        f"{verb.title()}\" ('{name}_{verb}') permissions on this key would allow this request to "
        "continue.",
        status=403,
    )


def masked(key: str) -> str:
    """A key as messages show it."""
    return key[:8] + "*" * 8 + key[-4:] if len(key) > 16 else "*" * len(key)


def unknown_here(what: str) -> StripeError:
    """Something that Stripe knows and this stand-in does not."""
    return StripeError(f"The sandbox does not know {what}.", type="sandbox_error")
