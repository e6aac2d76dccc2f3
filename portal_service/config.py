"""The settings: the environment read once, validated, and immutable. Nothing else reads it."""

import base64
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import limits
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from stripe import RequestOptions
from stripe.params.checkout import SessionCreateParams

# fmt: off
# Checkout parameters that this service sets itself, and those that exclude ours.
_OUR_PARAMS = {"mode", "customer", "line_items", "success_url", "cancel_url",
               "client_reference_id"}
_EXCLUDED_PARAMS = {"customer_email", "customer_creation", "customer_account", "ui_mode",
                    "return_url", "payment_intent_data"}
# fmt: on
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_PRICE = r"price:(\S+)|((?:price|plan)_\w+)"
_PRODUCT = r"product:(\S+)|(prod_\w+)"
# What Capacitor, Ionic, Tauri, Electron and browser extensions send as their Origin.
_PACKAGED_APP = (
    r"(?:(?:capacitor|ionic|tauri|app)://[a-z0-9.-]+"
    r"|(?:chrome|moz|safari-web)-extension://[A-Za-z0-9-]+)"
)


class ConfigError(Exception):
    """Raised when the environment can't work; the message names every wrong variable."""


class _Wrong(ValueError):
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


# The parsers: a value -> what the setting holds. ValueError means: not what was expected.


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return parse


def _parts(separator: str, parse: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def parse_all(value: str) -> tuple[Any, ...]:
        found = tuple(parse(part.strip()) for part in value.split(separator) if part.strip())
        if not found:
            raise ValueError
        return found

    return parse_all


def _url(value: str) -> str:
    parts = urlsplit(value)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or re.search(r"[\s\\?#@]", value)
    ):
        raise ValueError
    origin_of(value)  # a port that is none raises
    return value.rstrip("/")


def _prefix(value: str) -> str:
    return "" if value == "/" else _matching(r"(/[\w.~-]+)+")(value.rstrip("/"))


def _flag(value: str) -> bool:
    return _matching("true|1|false|0")(value.lower()) in ("true", "1")


def _seconds(value: str) -> float:
    if not 0.05 <= float(value) <= 60:
        raise _Wrong("from 0.05 to 60 seconds")
    return float(value)


def _rate(value: str) -> str:
    rates = limits.parse_many(value)
    if len(rates) != 1 or rates[0].amount < 1:
        raise ValueError
    return value


def _storage(value: str) -> str:
    if value.startswith("async+"):
        raise ValueError
    try:
        limits.storage.storage_from_string(value)
    except limits.errors.ConfigurationError as error:
        raise ValueError from error
    return value


def _supabase_key(value: str) -> str:
    if value.startswith(("sb_publishable_", "sk_", "pk_", "whsec_")) or re.search(r"\s", value):
        raise ValueError
    try:
        claims = json.loads(base64.urlsafe_b64decode(value.split(".")[1] + "=="))
    except (IndexError, ValueError):
        return value
    if isinstance(claims, dict) and claims.get("role") in ("anon", "authenticated"):
        raise _Wrong(f"this key is for the role {claims['role']}, not for service_role")
    return value


def _publishable_key(value: str) -> str:
    _issuer(value)
    return _matching("pk_.*")(value)


def _issuer(value: str) -> str:
    """An issuer, or the one that a publishable key names (clerk/javascript, shared/keys.ts)."""
    if not value.startswith("pk_"):
        return _url(value)
    encoded = _matching(r"pk_(test|live)_[\w+/=-]+")(value).split("_", 2)[2].rstrip("=")
    host = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    return _url("https://" + _matching(r"[^$/]+\.[^$/]+\$")(host)[:-1])


def _pem(value: str) -> str:
    pem = value.replace("\\n", "\n")
    load_pem_public_key(pem.encode())
    return pem


def _origin(value: str) -> str:
    """An exact origin, a packaged app's too, or one with a `*` in the first of three labels."""
    if re.fullmatch(_PACKAGED_APP, value):
        return value
    wildcard = r"https?://[a-z0-9-]*\*[a-z0-9-]*(\.[a-z0-9-]+){2,}(:\d+)?"
    if "*" in value and not re.fullmatch(wildcard, value):
        raise _Wrong("a * may stand once, in the first label, as https://*-acme.vercel.app")
    origin = origin_of(_url(value))
    if origin != value.lower().rstrip("/"):
        raise _Wrong("an origin is scheme, host and port only, as https://app.example.com")
    return origin


def _plans(value: str) -> tuple[Plan, ...]:
    """`pro=prod_X,price_a;team=price_c`; a price alone is the plan `pro`."""
    plans: tuple[Plan, ...] = _parts(";", _plan)(value if "=" in value else f"pro={value}")
    ids = [i for plan in plans for i in (*plan.prices, *plan.products)]
    if len({plan.name for plan in plans}) < len(plans) or len(set(ids)) < len(ids):
        raise _Wrong("a plan, price or product stands twice")
    return plans


def _plan(value: str) -> Plan:
    name, _, listed = value.partition("=")
    name = _matching(r"[\w-]+")(name.strip())
    ids = [part.strip() for part in listed.split(",") if part.strip()]
    prices, products = _those(_PRICE, ids), _those(_PRODUCT, ids)
    if name == "free":
        raise _Wrong("no plan can be named free: that is what a user without a subscription is on")
    if len(prices) + len(products) < len(ids):
        raise _Wrong(
            f"plan {name} lists something that is neither price_… nor prod_…; "
            "mark an id of another form, as price:gold-monthly or product:gold"
        )
    if not prices:
        raise _Wrong(f"plan {name} has no price_… to sell")
    return Plan(name, prices, products)


def _those(kind: str, ids: Iterable[str]) -> tuple[str, ...]:
    """The ids of one kind: with Stripe's own prefix, or marked, as those that a team chose."""
    found = (re.fullmatch(kind, i) for i in ids)
    return tuple(match[1] or match[2] for match in found if match)


def _product(value: str) -> str:
    (product,) = _those(_PRODUCT, [value])
    return product


def _checkout_params(value: str) -> dict[str, Any]:
    params = json.loads(value)
    if not isinstance(params, dict):
        raise ValueError
    for name, given in params.items():
        _check_checkout_param(name, given)
    if params.get("allow_promotion_codes") and params.get("discounts"):
        raise _Wrong("allow_promotion_codes and discounts exclude each other")
    return params


def _check_checkout_param(name: str, value: Any) -> None:
    """Names and kinds come from the SDK, which is made from Stripe's document of our version."""
    if name in _OUR_PARAMS:
        raise _Wrong(f"{name} is set by this service")
    if name in _EXCLUDED_PARAMS:
        raise _Wrong(f"{name} excludes what this service sets")
    if name == "payment_method_types":
        raise _Wrong("payment_method_types is gone since Stripe's 2026-09 release")
    kind = str(SessionCreateParams.__annotations__.get(name, ""))
    if not kind or name in RequestOptions.__annotations__:
        raise _Wrong("it holds a name that Checkout does not know")
    is_hash = "List[" not in kind and re.search(r"SessionCreateParams\w|Dict\[", kind)
    if is_hash and not isinstance(value, dict):
        raise _Wrong(f"{name} is a hash at Stripe, as {{…}}")


def _check_ignored_products(values: Mapping[str, Any], problems: dict[str, str]) -> None:
    sold = {product for plan in values.get("plans", ()) for product in plan.products}
    both = sorted(sold & set(values.get("ignored_products", ())))
    if both:
        problems["STRIPE_IGNORED_PRODUCTS"] = (
            f"STRIPE_IGNORED_PRODUCTS is wrong: {', '.join(both)} stands in STRIPE_PLANS too"
        )


def _variable(
    names: str,
    parse: Callable[[str], Any],
    expected: str,
    *,
    default: Any = dataclasses.MISSING,
    secret: bool = False,
) -> Any:
    """A setting: its variables, the first that is set counts; what a value looks like; a default.

    Without a default it is required. `secret` keeps it out of the settings' repr.
    """
    metadata = {"names": names.split(), "parse": parse, "expected": expected}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


_path = _matching(r"/(?:[^/\s\\][^\s\\]*)?")
_status = _matching("active|trialing|past_due|unpaid|incomplete|paused")
_A_PATH = "a path, as /dashboard"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the service was told. `from_environment` reads it; tests build it by hand.

    Time-outs are in seconds and for one attempt. Docs of each variable: .env.example.
    """

    # fmt: off
    stripe_secret_key: str = _variable(
        "STRIPE_SECRET_KEY", _matching(r"(sk|rk)_(test|live)_\w+"),
        "sk_test_…, sk_live_… or a restricted rk_… key", secret=True)
    stripe_webhook_secrets: tuple[str, ...] = _variable(
        "STRIPE_WEBHOOK_SECRET", _parts(",", _matching(r"whsec_\S+")),
        "whsec_… of the webhook endpoint; several with commas between", secret=True)
    plans: tuple[Plan, ...] = _variable(
        "STRIPE_PLANS STRIPE_PRO_PRICE_ID NEXT_PUBLIC_STRIPE_PRO_PRICE_ID", _plans,
        "as pro=prod_X,price_a;team=price_c")
    ignored_products: tuple[str, ...] = _variable(
        "STRIPE_IGNORED_PRODUCTS", _parts(",", _product), "products with commas between, as prod_…",
        default=())
    supabase_url: str = _variable(
        "SUPABASE_URL NEXT_PUBLIC_SUPABASE_URL", _url, "https://….supabase.co")
    supabase_key: str = _variable(
        "SUPABASE_SERVICE_ROLE_KEY SUPABASE_SECRET_KEY", _supabase_key,
        "the service role key, or sb_secret_…", secret=True)
    supabase_schema: str = _variable(
        "SUPABASE_SCHEMA", _matching(r"[a-z_][a-z0-9_]{0,62}"),
        "a plain name, as billing: small letters, digits and _", default="public")
    clerk_issuer: str = _variable(
        "CLERK_ISSUER CLERK_PUBLISHABLE_KEY NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", _issuer,
        "pk_test_… or pk_live_… as Clerk shows it, or the issuer's https://…")
    clerk_publishable_key: str | None = _variable(
        "CLERK_PUBLISHABLE_KEY NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", _publishable_key,
        "pk_test_… or pk_live_… as Clerk shows it", default=None)
    clerk_jwks_url: str = _variable(
        "CLERK_JWKS_URL", _url, "an address, as https://…/.well-known/jwks.json", default="")
    clerk_jwt_key: str | None = _variable(
        "CLERK_JWT_KEY", _pem, "Clerk's public key as PEM", default=None)
    require_azp: bool = _variable("REQUIRE_AZP", _flag, "true or false", default=False)
    app_url: str = _variable(
        "APP_URL NEXT_PUBLIC_APP_URL", _url, "the frontend's address, https://app.example.com")
    origins: tuple[str, ...] = _variable(
        "ALLOWED_ORIGINS", _parts(",", _origin),
        "more origins with commas between, as https://app.example.com", default=())
    portal_return_path: str = _variable(
        "PORTAL_RETURN_PATH", _path, _A_PATH, default="/dashboard")
    checkout_success_path: str = _variable("CHECKOUT_SUCCESS_PATH", _path, _A_PATH, default="")
    checkout_cancel_path: str = _variable("CHECKOUT_CANCEL_PATH", _path, _A_PATH, default="")
    checkout_params: Mapping[str, Any] | None = _variable(
        "STRIPE_CHECKOUT_PARAMS", _checkout_params, "a JSON object of Checkout parameters",
        default=None)
    portal_configuration: str | None = _variable(
        "STRIPE_PORTAL_CONFIGURATION", _matching(r"bpc_\w+"), "bpc_…", default=None)
    entitled_statuses: tuple[str, ...] = _variable(
        "ENTITLED_STATUSES", _parts(",", _status), "Stripe's statuses, as active,trialing",
        default=("active", "trialing"))
    rate_limit: str = _variable("RATE_LIMIT", _rate, "as 30/minute", default="30/minute")
    refresh_rate_limit: str = _variable(
        "REFRESH_RATE_LIMIT", _rate, "as 10/minute", default="10/minute")
    rate_limit_storage_uri: str = _variable(
        "RATE_LIMIT_STORAGE_URI", _storage,
        "memory://, or redis://… with the redis package installed", default="memory://",
        secret=True)
    trusted_proxy_hops: int = _variable(
        "TRUSTED_PROXY_HOPS", lambda value: int(_matching(r"\d")(value)), "from 0 to 9", default=0)
    metrics_token: str | None = _variable("METRICS_TOKEN", str, "", default=None, secret=True)
    log_format: str = _variable(
        "LOG_FORMAT", _matching("json|text"), "json or text", default="json")
    log_level: str = _variable(
        "LOG_LEVEL", lambda value: _matching("DEBUG|INFO|WARNING|ERROR")(value.upper()),
        "DEBUG, INFO, WARNING or ERROR", default="INFO")
    stripe_api_base: str | None = _variable(
        "STRIPE_API_BASE", _url, "an address", default=None)
    stripe_timeout: float = _variable(
        "STRIPE_TIMEOUT_SECONDS", _seconds, "seconds, as 5", default=5.0)
    database_timeout: float = _variable(
        "DATABASE_TIMEOUT_SECONDS", _seconds, "seconds, as 2", default=2.0)
    url_prefix: str = _variable(
        "URL_PREFIX", _prefix, "a path, as /api/stripe", default="/api/stripe")
    # fmt: on

    def __post_init__(self) -> None:
        """Fill in what follows from other settings."""
        fallbacks = {
            "clerk_jwks_url": f"{self.clerk_issuer}/.well-known/jwks.json",
            "checkout_success_path": self.portal_return_path,
            "checkout_cancel_path": self.portal_return_path,
        }
        for name, value in fallbacks.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        origins = dict.fromkeys((origin_of(self.app_url), *self.origins))
        object.__setattr__(self, "origins", tuple(origins))

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key moves real money."""
        return self.stripe_secret_key[2:].startswith("_live_")

    @property
    def session_cookies(self) -> tuple[str, ...]:
        """Clerk's cookies, the one of this instance first (clerk/javascript, shared/keys.ts)."""
        if self.clerk_publishable_key is None:
            return ("__session",)
        digest = hashlib.sha1(self.clerk_publishable_key.encode(), usedforsecurity=False).digest()
        return (f"__session_{base64.urlsafe_b64encode(digest).decode()[:8]}", "__session")

    @property
    def origin_patterns(self) -> list[str]:
        """The allowed origins as regular expressions that match a whole origin."""
        return [rf"\A{re.escape(o).replace(re.escape('*'), _LABEL)}\Z" for o in self.origins]

    def allows_origin(self, origin: str) -> bool:
        return any(re.fullmatch(pattern, origin) for pattern in self.origin_patterns)

    def app_url_for(self, origin: str) -> str:
        """Where the users of a page come back to: its origin where that is an allowed one of the
        web, else APP_URL. Stripe takes http and https only.
        """
        if origin == origin_of(self.app_url) or not origin.startswith(("http://", "https://")):
            return self.app_url
        return origin if self.allows_origin(origin) else self.app_url

    @property
    def offers_trial(self) -> bool:
        """Whether checkout begins with a trial."""
        given = (self.checkout_params or {}).get("subscription_data") or {}
        return bool(given.get("trial_period_days") or given.get("trial_end"))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Raises ConfigError naming every variable that is missing or malformed."""
        settings, problems = cls.collect(environ)
        if settings is None:
            lines = "\n".join(f"  {problem}" for problem in problems)
            raise ConfigError(f"portal_service can't start with these settings:\n{lines}")
        return settings

    @classmethod
    def collect(
        cls, environ: Mapping[str, str] | None = None
    ) -> tuple["Settings | None", list[str]]:
        """The settings, or None and one line per wrong variable. Never shows a secret."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for field in dataclasses.fields(cls):
            names, parse, expected = (field.metadata[k] for k in ("names", "parse", "expected"))
            name = next((n for n in names if environ.get(n, "").strip()), None)
            try:
                if name:
                    values[field.name] = parse(environ[name].strip())
                elif field.default is dataclasses.MISSING:
                    problems[names[0]] = f"{' or '.join(names[:2])} is missing: {expected}"
            except _Wrong as reason:
                problems[name or ""] = f"{name} is wrong: {reason}"
            except (ValueError, TypeError, RecursionError):
                problems[name or ""] = f"{name} is wrong: expected {expected}"
        _check_ignored_products(values, problems)
        return (None, list(problems.values())) if problems else (cls(**values), [])
