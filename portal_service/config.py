"""The settings: the environment read once, validated, and immutable. Nothing else reads it."""

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import limits
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from stripe import RequestOptions
from stripe.params.checkout import SessionCreateParams

T = TypeVar("T")

# Checkout parameters that this service sets itself.
_OUR_CHECKOUT_PARAMS = {
    "mode", "customer", "line_items", "success_url", "cancel_url", "client_reference_id",
}  # fmt: skip
# … and those that exclude ours.
_EXCLUDED_CHECKOUT_PARAMS = {
    "customer_email", "customer_creation", "customer_account", "ui_mode", "return_url",
    "payment_intent_data",
}  # fmt: skip
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"


class ConfigError(Exception):
    """Raised when the environment can't work; the message names every wrong variable."""


@dataclass(frozen=True)
class Plan:
    """A plan of the app: what Stripe sells it as."""

    name: str
    prices: tuple[str, ...]
    products: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What the service was told. Build one with `from_environment`, or by hand in tests.

    Timeouts are in seconds and for one attempt. `origins` are exact origins, or have one `*` in
    their first label.
    """

    stripe_secret_key: str = field(repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(repr=False)
    plans: tuple[Plan, ...]
    supabase_url: str
    supabase_key: str = field(repr=False)
    clerk_issuer: str
    clerk_jwks_url: str
    app_url: str
    origins: tuple[str, ...]
    clerk_publishable_key: str | None = None
    clerk_jwt_key: str | None = None
    require_azp: bool = False
    portal_return_path: str = "/dashboard"
    checkout_success_path: str = "/dashboard"
    checkout_cancel_path: str = "/dashboard"
    checkout_params: Mapping[str, Any] = field(default_factory=dict)
    portal_configuration: str | None = None
    entitled_statuses: frozenset[str] = frozenset({"active", "trialing"})
    rate_limit: str = "30/minute"
    refresh_rate_limit: str = "10/minute"
    rate_limit_storage_uri: str = field(default="memory://", repr=False)
    trusted_proxy_hops: int = 0
    metrics_token: str | None = field(default=None, repr=False)
    log_format: str = "json"
    log_level: str = "INFO"
    stripe_api_base: str | None = None
    stripe_timeout: float = 5.0
    database_timeout: float = 2.0
    url_prefix: str = "/api/stripe"

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key moves real money."""
        return "_live_" in self.stripe_secret_key

    @property
    def session_cookies(self) -> tuple[str, ...]:
        """Clerk's cookies, the one of this instance first (clerk/javascript, shared/keys.ts)."""
        if self.clerk_publishable_key is None:
            return ("__session",)
        digest = hashlib.sha1(self.clerk_publishable_key.encode(), usedforsecurity=False).digest()
        return (f"__session_{base64.urlsafe_b64encode(digest).decode()[:8]}", "__session")

    def allows_origin(self, origin: str) -> bool:
        return any(re.fullmatch(pattern, origin) for pattern in self.origin_patterns)

    @property
    def origin_patterns(self) -> list[str]:
        """The allowed origins as regular expressions that match a whole origin."""
        return [rf"\A{re.escape(o).replace(re.escape('*'), _LABEL)}\Z" for o in self.origins]

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
        reader = _Reader(os.environ if environ is None else environ)
        values = _read(reader)
        return (None, reader.problems) if reader.problems else (cls(**values), [])


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def raw(self, *names: str) -> tuple[str, str | None]:
        """The first of these names that is set, and its value; an empty value is none."""
        for name in names:
            value = self._environ.get(name, "").strip()
            if value:
                return name, value
        return names[0], None

    def required(self, parse: Callable[[str], T], expected: str, *names: str) -> T | None:
        name, value = self.raw(*names)
        if value is None:
            self.problems.append(f"{' or '.join(names[:2])} is missing: {expected}")
            return None
        return self._parse(name, value, parse, expected)

    def optional(self, parse: Callable[[str], Any], expected: str, name: str, default: T) -> T:
        name, value = self.raw(name)
        if value is None:
            return default
        parsed = self._parse(name, value, parse, expected)
        return default if parsed is None else cast(T, parsed)

    def _parse(self, name: str, value: str, parse: Callable[[str], T], expected: str) -> T | None:
        try:
            return parse(value)
        except _Wrong as reason:
            self.problems.append(f"{name} is wrong: {reason}")
        except (ValueError, TypeError):
            self.problems.append(f"{name} is wrong: {expected}")
        return None


class _Wrong(ValueError):
    """Says itself what is wrong, without showing the value."""


def _read(env: _Reader) -> dict[str, Any]:
    publishable_key, issuer = _clerk(env)
    app_url = env.required(_url, "the frontend's address, as https://app.example.com",
                           "APP_URL", "NEXT_PUBLIC_APP_URL")  # fmt: skip
    return_path = env.optional(_path, "a path, as /dashboard", "PORTAL_RETURN_PATH", "/dashboard")
    path = "a path, as /welcome"
    return {
        "stripe_secret_key": env.required(
            _matching(r"(sk|rk)_(test|live)_\w+"), "sk_test_…, sk_live_… or a restricted rk_… key",
            "STRIPE_SECRET_KEY"),
        "stripe_webhook_secrets": env.required(
            _webhook_secrets, "whsec_… of the webhook endpoint; several with commas between",
            "STRIPE_WEBHOOK_SECRET"),
        "plans": _plans(env),
        "supabase_url": env.required(_url, "https://….supabase.co",
                                     "SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"),
        "supabase_key": env.required(_supabase_key, "the service role key, or sb_secret_…",
                                     "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"),
        "clerk_publishable_key": publishable_key,
        "clerk_issuer": issuer,
        "clerk_jwks_url": env.optional(_url, "an address, as https://…/.well-known/jwks.json",
                                       "CLERK_JWKS_URL", f"{issuer}/.well-known/jwks.json"),
        "clerk_jwt_key": env.optional(_pem, "Clerk's public key as PEM", "CLERK_JWT_KEY", None),
        "require_azp": env.optional(_flag, "true or false", "REQUIRE_AZP", False),
        "app_url": app_url,
        "origins": env.optional(_origins, "origins with commas between, as https://app.example.com",
                                "ALLOWED_ORIGINS", (origin_of(app_url or ""),)),
        "portal_return_path": return_path,
        "checkout_success_path": env.optional(_path, path, "CHECKOUT_SUCCESS_PATH", return_path),
        "checkout_cancel_path": env.optional(_path, path, "CHECKOUT_CANCEL_PATH", return_path),
        "checkout_params": env.optional(_checkout_params, "a JSON object of Checkout parameters",
                                        "STRIPE_CHECKOUT_PARAMS", {}),
        "portal_configuration": env.optional(_matching(r"bpc_\w+"), "bpc_…",
                                             "STRIPE_PORTAL_CONFIGURATION", None),
        "entitled_statuses": env.optional(_statuses, "Stripe's statuses, as active,trialing",
                                          "ENTITLED_STATUSES", frozenset({"active", "trialing"})),
        "rate_limit": env.optional(_rate, "as 30/minute", "RATE_LIMIT", "30/minute"),
        "refresh_rate_limit": env.optional(_rate, "as 10/minute", "REFRESH_RATE_LIMIT",
                                           "10/minute"),
        "rate_limit_storage_uri": env.optional(
            _storage, "memory://, or redis://… with the redis package installed",
            "RATE_LIMIT_STORAGE_URI", "memory://"),
        "trusted_proxy_hops": env.optional(_count, "a small whole number", "TRUSTED_PROXY_HOPS", 0),
        "metrics_token": env.optional(str, "", "METRICS_TOKEN", None),
        "log_format": env.optional(_one_of("json", "text"), "json or text", "LOG_FORMAT", "json"),
        "log_level": env.optional(
            lambda value: _one_of("DEBUG", "INFO", "WARNING", "ERROR")(value.upper()),
            "DEBUG, INFO, WARNING or ERROR", "LOG_LEVEL", "INFO"),
        "stripe_api_base": env.optional(_url, "an address", "STRIPE_API_BASE", None),
        "stripe_timeout": env.optional(_seconds, "seconds, as 5", "STRIPE_TIMEOUT_SECONDS", 5.0),
        "database_timeout": env.optional(_seconds, "seconds, as 2", "DATABASE_TIMEOUT_SECONDS",
                                         2.0),
        "url_prefix": env.optional(_prefix, "a path, as /api/stripe", "URL_PREFIX", "/api/stripe"),
    }  # fmt: skip


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, as browsers write an origin."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (
        f":{parts.port}" if parts.port not in (None, default) else ""
    )


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    return _matching("|".join(choices))


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    if parts.username or parts.password or re.search(r"[\s\\]", value):
        raise ValueError
    origin_of(value)  # a port that is none raises
    return value.rstrip("/")


def _path(value: str) -> str:
    if not re.fullmatch(r"/(?:[^/\s\\][^\s\\]*)?", value):
        raise ValueError
    return value


def _prefix(value: str) -> str:
    return "" if value == "/" else _matching(r"(/[\w.~-]+)+")(value.rstrip("/"))


def _flag(value: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[
        _one_of("true|1|false|0")(value.lower())
    ]


def _count(value: str) -> int:
    return int(_matching(r"\d{1,2}")(value))


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0.05 <= seconds <= 60:
        raise _Wrong("from 0.05 to 60 seconds")
    return seconds


def _rate(value: str) -> str:
    limits.parse(value)
    return value


def _storage(value: str) -> str:
    if not re.match(r"(memory|redis|rediss|unix|redis\+\w+|rediss\+\w+)://", value):
        raise ValueError
    try:
        limits.storage.storage_from_string(value)
    except limits.errors.ConfigurationError as error:
        raise ValueError from error
    return value


def _webhook_secrets(value: str) -> tuple[str, ...]:
    parse = _matching(r"whsec_\S+")
    return tuple(parse(secret.strip()) for secret in value.split(",") if secret.strip())


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


def _clerk(env: _Reader) -> tuple[str | None, str]:
    name, key = env.raw("CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY")
    expected = "pk_test_… or pk_live_… as Clerk shows it"
    host = None if key is None else env._parse(name, key, _frontend_api, expected)
    if env.raw("CLERK_ISSUER")[1] is not None:
        issuer = env.required(_url, "https://clerk.example.com", "CLERK_ISSUER")
    elif key is None:
        env.required(str, f"{expected}, or CLERK_ISSUER", "CLERK_PUBLISHABLE_KEY")
        issuer = None
    else:
        issuer = f"https://{host}"
    return key, issuer or ""


def _frontend_api(publishable_key: str) -> str:
    """The host that a publishable key names (clerk/javascript, shared/keys.ts)."""
    _matching(r"pk_(test|live)_[A-Za-z0-9+/_=-]+")(publishable_key)
    encoded = publishable_key.split("_", 2)[2].rstrip("=")
    try:
        host = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except binascii.Error as error:
        raise ValueError from error
    if not re.fullmatch(r"[^$\s/]+\$", host):
        raise ValueError
    return host[:-1]


def _pem(value: str) -> str:
    pem = value.replace("\\n", "\n")
    load_pem_public_key(pem.encode())
    return pem


def _origins(value: str) -> tuple[str, ...]:
    return tuple(_origin(part.strip()) for part in value.split(",") if part.strip())


def _origin(value: str) -> str:
    """An exact origin, or one with a `*` in the first of at least three labels."""
    if "*" in value and not re.fullmatch(r"https?://[a-z0-9-]*\*[a-z0-9-]*(\.[a-z0-9-]+){2,}(:\d+)?",
                                         value):  # fmt: skip
        raise _Wrong("a * may stand once, in the first label, as https://*-acme.vercel.app")
    origin = origin_of(_url(value))
    if origin.lower() != value.lower().rstrip("/"):
        raise _Wrong("an origin is scheme, host and port only, as https://app.example.com")
    return origin


def _statuses(value: str) -> frozenset[str]:
    known = _one_of("active", "trialing", "past_due", "unpaid", "incomplete", "paused")
    return frozenset(known(status.strip()) for status in value.split(",") if status.strip())


def _plans(env: _Reader) -> tuple[Plan, ...] | None:
    if env.raw("STRIPE_PLANS")[1] is None:
        short, value = env.raw("STRIPE_PRO_PRICE_ID", "NEXT_PUBLIC_STRIPE_PRO_PRICE_ID")
        if value is not None:
            return env._parse(short, value, lambda price: _parse_plans(f"pro={price}"), "price_…")
    return env.required(_parse_plans, "as pro=prod_X,price_a;team=price_c", "STRIPE_PLANS",
                        "STRIPE_PRO_PRICE_ID")  # fmt: skip


def _parse_plans(value: str) -> tuple[Plan, ...]:
    plans = tuple(_parse_plan(part.strip()) for part in value.split(";") if part.strip())
    ids = [i for plan in plans for i in (*plan.prices, *plan.products)]
    if not plans:
        raise ValueError
    if len({plan.name for plan in plans}) < len(plans) or len(set(ids)) < len(ids):
        raise _Wrong("a plan, price or product stands twice")
    return plans


def _parse_plan(value: str) -> Plan:
    name, _, listed = value.partition("=")
    name, ids = name.strip(), [part.strip() for part in listed.split(",") if part.strip()]
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError
    if name == "free":
        raise _Wrong("no plan can be named free: that is what a user without a subscription is on")
    prices = tuple(i for i in ids if re.fullmatch(r"(price|plan)_\w+", i))
    products = tuple(i for i in ids if re.fullmatch(r"prod_\w+", i))
    if len(prices) + len(products) < len(ids):
        raise _Wrong(f"plan {name} lists something that is neither price_… nor prod_…")
    if not prices:
        raise _Wrong(f"plan {name} has no price_… to sell")
    return Plan(name, prices, products)


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
    if name in _OUR_CHECKOUT_PARAMS:
        raise _Wrong(f"{name} is set by this service")
    if name in _EXCLUDED_CHECKOUT_PARAMS:
        raise _Wrong(f"{name} excludes what this service sets")
    if name == "payment_method_types":
        raise _Wrong("payment_method_types is gone since Stripe's 2026-09 release")
    kind = SessionCreateParams.__annotations__.get(name)
    if kind is None or name in RequestOptions.__annotations__:
        raise _Wrong("it holds a name that Checkout does not know")
    if _is_hash(str(kind)) and not isinstance(value, dict):
        raise _Wrong(f"{name} is a hash at Stripe, as {{…}}")


def _is_hash(annotation: str) -> bool:
    return "List[" not in annotation and bool(
        re.search(r"SessionCreateParams\w|Dict\[", annotation)
    )
