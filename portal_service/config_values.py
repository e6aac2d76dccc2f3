"""What the values of the environment mean: text -> what a setting holds. Reads no environment.
ValueError means: not what was expected.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import limits
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

# fmt: off
# Checkout's parameters: those that this service sets itself, those that exclude ours, and those
# that Stripe wants a hash for. A test holds the last to the SDK.
_OUR_PARAMS = {"mode", "customer", "line_items", "success_url", "cancel_url",
               "client_reference_id"}
_EXCLUDED_PARAMS = {"customer_email", "customer_creation", "customer_account", "ui_mode",
                    "return_url", "payment_intent_data"}
CHECKOUT_HASHES = {
    "adaptive_pricing", "after_expiration", "automatic_tax", "branding_settings",
    "consent_collection", "custom_text", "customer_update", "invoice_creation", "managed_payments",
    "metadata", "name_collection", "payment_intent_data", "payment_method_data",
    "payment_method_options", "permissions", "phone_number_collection",
    "saved_payment_method_options", "setup_intent_data", "shipping_address_collection",
    "subscription_data", "tax_id_collection", "wallet_options",
}
# fmt: on
_PRICE = r"price:(\S+)|((?:price|plan)_\w+)"
_PRODUCT = r"product:(\S+)|(prod_\w+)"
# What Capacitor, Ionic, Tauri, Electron and browser extensions send as their Origin.
_PACKAGED_APP = (
    r"(?:(?:capacitor|ionic|tauri|app)://[a-z0-9.-]+"
    r"|(?:chrome|moz|safari-web)-extension://[A-Za-z0-9-]+)"
)


class Wrong(ValueError):
    """Says itself what is wrong, without showing the value."""


@dataclass(frozen=True)
class Plan:
    """A plan of the app, and what Stripe sells it as. Checkout sells the first price by default."""

    name: str
    prices: tuple[str, ...]
    products: tuple[str, ...] = ()


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, as browsers write an origin."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else parts.port
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def matching(pattern: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return parse


def parts(separator: str, parse: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def parse_all(value: str) -> tuple[Any, ...]:
        found = tuple(parse(part.strip()) for part in value.split(separator) if part.strip())
        if not found:
            raise ValueError
        return found

    return parse_all


def url(value: str) -> str:
    parts = urlsplit(value)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or re.search(r"[\s\\?#@]", value)
    ):
        raise ValueError
    origin_of(value)  # a port that is none raises
    return value.rstrip("/")


def prefix(value: str) -> str:
    return "" if value == "/" else matching(r"(/[\w.~-]+)+")(value.rstrip("/"))


def flag(value: str) -> bool:
    return matching("true|1|false|0")(value.lower()) in ("true", "1")


def seconds(value: str) -> float:
    if not 0.05 <= float(value) <= 60:
        raise Wrong("from 0.05 to 60 seconds")
    return float(value)


def rate(value: str) -> str:
    rates = limits.parse_many(value)
    if len(rates) != 1 or rates[0].amount < 1:
        raise ValueError
    return value


def storage(value: str) -> str:
    if value.startswith("async+"):
        raise ValueError
    try:
        limits.storage.storage_from_string(value)
    except limits.errors.ConfigurationError as error:
        raise ValueError from error
    return value


def supabase_key(value: str) -> str:
    if value.startswith(("sb_publishable_", "sk_", "pk_", "whsec_")) or re.search(r"\s", value):
        raise ValueError
    try:
        claims = json.loads(base64.urlsafe_b64decode(value.split(".")[1] + "=="))
    except (IndexError, ValueError):
        return value
    if isinstance(claims, dict) and claims.get("role") in ("anon", "authenticated"):
        raise Wrong(f"this key is for the role {claims['role']}, not for service_role")
    return value


def publishable_key(value: str) -> str:
    issuer(value)
    return matching("pk_.*")(value)


def issuer(value: str) -> str:
    """An issuer, or the one that a publishable key names (clerk/javascript, shared/keys.ts)."""
    if not value.startswith("pk_"):
        return url(value)
    encoded = matching(r"pk_(test|live)_[\w+/=-]+")(value).split("_", 2)[2].rstrip("=")
    host = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    return url("https://" + matching(r"[^$/]+\.[^$/]+\$")(host)[:-1])


def svix_secret(value: str) -> str:
    """A signing secret of Svix', which sends Clerk's webhooks: base64 of the key, after a mark."""
    encoded = matching(r"whsec_([\w+/]+)={0,2}")(value).removeprefix("whsec_").rstrip("=")
    base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    return value


def org_role(value: str) -> str:
    """A role of Clerk's organizations, without the `org:` that only some of its tokens write."""
    return matching(r"(?:org:)?[\w-]+")(value).removeprefix("org:")


def pem(value: str) -> str:
    pem = value.replace("\\n", "\n")
    if not isinstance(load_pem_public_key(pem.encode()), RSAPublicKey):
        raise Wrong("Clerk signs with RSA: this is the public key of something else")
    return pem


def origin(value: str) -> str:
    """An exact origin, a packaged app's too, or one with a `*` in the first of three labels."""
    if re.fullmatch(_PACKAGED_APP, value):
        return value
    wildcard = r"https?://[a-z0-9-]*\*[a-z0-9-]*(\.[a-z0-9-]+){2,}(:\d+)?"
    if "*" in value and not re.fullmatch(wildcard, value):
        raise Wrong("a * may stand once, in the first label, as https://*-acme.vercel.app")
    origin = origin_of(url(value))
    if origin != value.lower().rstrip("/"):
        raise Wrong("an origin is scheme, host and port only, as https://app.example.com")
    return origin


def plans(value: str) -> tuple[Plan, ...]:
    """`pro=prod_X,price_a;team=price_c`; a price alone is the plan `pro`."""
    plans: tuple[Plan, ...] = parts(";", _plan)(value if "=" in value else f"pro={value}")
    ids = [i for plan in plans for i in (*plan.prices, *plan.products)]
    if len({plan.name for plan in plans}) < len(plans) or len(set(ids)) < len(ids):
        raise Wrong("a plan, price or product stands twice")
    return plans


def _plan(value: str) -> Plan:
    name, _, listed = value.partition("=")
    name = matching(r"[\w-]+")(name.strip())
    ids = [part.strip() for part in listed.split(",") if part.strip()]
    prices, products = _those(_PRICE, ids), _those(_PRODUCT, ids)
    if name == "free":
        raise Wrong("no plan can be named free: that is what a user without a subscription is on")
    if len(prices) + len(products) < len(ids):
        raise Wrong(
            f"plan {name} lists something that is neither price_… nor prod_…; "
            "mark an id of another form, as price:gold-monthly or product:gold"
        )
    if not prices:
        raise Wrong(f"plan {name} has no price_… to sell")
    return Plan(name, prices, products)


def _those(kind: str, ids: Iterable[str]) -> tuple[str, ...]:
    """The ids of one kind: with Stripe's own prefix, or marked, as those that a team chose."""
    found = (re.fullmatch(kind, i) for i in ids)
    return tuple(match[1] or match[2] for match in found if match)


def product(value: str) -> str:
    (product,) = _those(_PRODUCT, [value])
    return product


def checkout_params(value: str) -> dict[str, Any]:
    params = json.loads(value)
    if not isinstance(params, dict):
        raise ValueError
    for name, given in params.items():
        _refuse_checkout_param(name, given)
    if params.get("allow_promotion_codes") and params.get("discounts"):
        raise Wrong("allow_promotion_codes and discounts exclude each other")
    return params


def _refuse_checkout_param(name: str, value: Any) -> None:
    """The names come from the SDK, which is made from Stripe's document of our version."""
    if name in _OUR_PARAMS:
        raise Wrong(f"{name} is set by this service")
    if name in _EXCLUDED_PARAMS:
        raise Wrong(f"{name} excludes what this service sets")
    if name == "payment_method_types":
        raise Wrong("payment_method_types is gone since Stripe's 2026-09 release")
    if not _is_checkout_param(name):
        raise Wrong("it holds a name that Checkout does not know")
    if name in CHECKOUT_HASHES and not isinstance(value, dict):
        raise Wrong(f"{name} is a hash at Stripe, as {{…}}")


def _is_checkout_param(name: str) -> bool:
    # Here, since to load them takes 10 ms of a start that has no such setting.
    from stripe import RequestOptions
    from stripe.params.checkout import SessionCreateParams

    known = SessionCreateParams.__optional_keys__ - RequestOptions.__optional_keys__
    return name in known
