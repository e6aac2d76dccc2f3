"""The settings: the environment read once, validated, and immutable. Nothing else reads it. How a
value is read is in config_values.
"""

import base64
import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import portal_service.config_values as value
from portal_service import error_reports
from portal_service.config_values import Plan, Wrong, origin_of

__all__ = ["ConfigError", "Plan", "Settings", "origin_of"]

_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"


class ConfigError(Exception):
    """Raised when the environment can't work; the message names every wrong variable.

    problems: a line for each of them, without a secret.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"portal_service can't start with these settings:\n{lines}")


def _sold_and_ignored(values: Mapping[str, Any]) -> str:
    sold = {product for plan in values.get("plans", ()) for product in plan.products}
    return ", ".join(sorted(sold & set(values.get("ignored_products", ()))))


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


_path = value.matching(r"/(?:[^/\s\\][^\s\\]*)?")
_status = value.matching("active|trialing|past_due|unpaid|incomplete|paused")
_A_PATH = "a path, as /dashboard"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the service was told. `from_environment` reads it; tests build it by hand.

    Time-outs are in seconds and for one attempt. Docs of each variable: .env.example.
    """

    # fmt: off
    stripe_secret_key: str = _variable(
        "STRIPE_SECRET_KEY", value.matching(r"(sk|rk)_(test|live)_\w+"),
        "sk_test_…, sk_live_… or a restricted rk_… key", secret=True)
    stripe_webhook_secrets: tuple[str, ...] = _variable(
        "STRIPE_WEBHOOK_SECRET", value.parts(",", value.matching(r"whsec_\S+")),
        "whsec_… of the webhook endpoint; several with commas between", secret=True)
    plans: tuple[Plan, ...] = _variable(
        "STRIPE_PLANS STRIPE_PRO_PRICE_ID NEXT_PUBLIC_STRIPE_PRO_PRICE_ID", value.plans,
        "as pro=prod_X,price_a;team=price_c")
    ignored_products: tuple[str, ...] = _variable(
        "STRIPE_IGNORED_PRODUCTS", value.parts(",", value.product),
        "products with commas between, as prod_…", default=())
    supabase_url: str = _variable(
        "SUPABASE_URL NEXT_PUBLIC_SUPABASE_URL", value.url, "https://….supabase.co")
    supabase_key: str = _variable(
        "SUPABASE_SERVICE_ROLE_KEY SUPABASE_SECRET_KEY", value.supabase_key,
        "the service role key, or sb_secret_…", secret=True)
    supabase_schema: str = _variable(
        "SUPABASE_SCHEMA", value.matching(r"[a-z_][a-z0-9_]{0,62}"),
        "a plain name, as billing: small letters, digits and _", default="public")
    clerk_issuer: str = _variable(
        "CLERK_ISSUER CLERK_PUBLISHABLE_KEY NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", value.issuer,
        "pk_test_… or pk_live_… as Clerk shows it, or the issuer's https://…")
    clerk_publishable_key: str | None = _variable(
        "CLERK_PUBLISHABLE_KEY NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", value.publishable_key,
        "pk_test_… or pk_live_… as Clerk shows it", default=None)
    clerk_jwks_url: str = _variable(
        "CLERK_JWKS_URL", value.url, "an address, as https://…/.well-known/jwks.json", default="")
    clerk_jwt_key: str | None = _variable(
        "CLERK_JWT_KEY", value.pem, "Clerk's public key as PEM", default=None)
    clerk_webhook_secrets: tuple[str, ...] = _variable(
        "CLERK_WEBHOOK_SECRET", value.parts(",", value.svix_secret),
        "whsec_… of Clerk's webhook endpoint; several with commas between", default=(),
        secret=True)
    on_owner_deleted: str = _variable(
        "ON_OWNER_DELETED", value.matching("cancel_at_period_end|cancel_now|keep"),
        "cancel_at_period_end, cancel_now or keep", default="cancel_at_period_end")
    require_azp: bool = _variable("REQUIRE_AZP", value.flag, "true or false", default=False)
    billing_owner: str = _variable(
        "BILLING_OWNER", value.matching("user|organization"), "user or organization",
        default="user")
    billing_org_roles: tuple[str, ...] = _variable(
        "BILLING_ORG_ROLES", value.parts(",", value.org_role),
        "roles of Clerk's organizations with commas between, as admin,billing",
        default=("admin",))
    app_url: str = _variable(
        "APP_URL NEXT_PUBLIC_APP_URL", value.url, "the frontend's address, https://app.example.com")
    origins: tuple[str, ...] = _variable(
        "ALLOWED_ORIGINS", value.parts(",", value.origin),
        "more origins with commas between, as https://app.example.com", default=())
    portal_return_path: str = _variable("PORTAL_RETURN_PATH", _path, _A_PATH, default="/dashboard")
    checkout_success_path: str = _variable("CHECKOUT_SUCCESS_PATH", _path, _A_PATH, default="")
    checkout_cancel_path: str = _variable("CHECKOUT_CANCEL_PATH", _path, _A_PATH, default="")
    checkout_params: Mapping[str, Any] | None = _variable(
        "STRIPE_CHECKOUT_PARAMS", value.checkout_params, "a JSON object of Checkout parameters",
        default=None)
    portal_configuration: str | None = _variable(
        "STRIPE_PORTAL_CONFIGURATION", value.matching(r"bpc_\w+"), "bpc_…", default=None)
    entitled_statuses: tuple[str, ...] = _variable(
        "ENTITLED_STATUSES", value.parts(",", _status), "Stripe's statuses, as active,trialing",
        default=("active", "trialing"))
    rate_limit: str = _variable("RATE_LIMIT", value.rate, "as 30/minute", default="30/minute")
    refresh_rate_limit: str = _variable(
        "REFRESH_RATE_LIMIT", value.rate, "as 10/minute", default="10/minute")
    rate_limit_storage_uri: str = _variable(
        "RATE_LIMIT_STORAGE_URI", value.storage,
        "memory://, or redis://… with the redis package installed", default="memory://",
        secret=True)
    trusted_proxy_hops: int = _variable(
        "TRUSTED_PROXY_HOPS", lambda text: int(value.matching(r"\d")(text)), "from 0 to 9",
        default=0)
    threads: int = _variable(
        "THREADS", lambda text: int(value.matching(r"[1-9]\d{0,2}")(text)), "from 1 to 999",
        default=192)
    metrics_token: str | None = _variable("METRICS_TOKEN", str, "", default=None, secret=True)
    sentry_dsn: str | None = _variable(
        "SENTRY_DSN", error_reports.dsn, "https://<key>@<host>/<id>", default=None, secret=True)
    log_format: str = _variable(
        "LOG_FORMAT", value.matching("json|text"), "json or text", default="json")
    log_level: str = _variable(
        "LOG_LEVEL", lambda text: value.matching("DEBUG|INFO|WARNING|ERROR")(text.upper()),
        "DEBUG, INFO, WARNING or ERROR", default="INFO")
    stripe_api_base: str | None = _variable("STRIPE_API_BASE", value.url, "https://…", default=None)
    stripe_timeout: float = _variable(
        "STRIPE_TIMEOUT_SECONDS", value.seconds, "seconds, as 5", default=5.0)
    database_timeout: float = _variable(
        "DATABASE_TIMEOUT_SECONDS", value.seconds, "seconds, as 2", default=2.0)
    url_prefix: str = _variable(
        "URL_PREFIX", value.prefix, "a path, as /api/stripe", default="/api/stripe")
    # fmt: on

    def __post_init__(self) -> None:
        """Fill in what follows from other settings."""
        fallbacks = {
            "clerk_jwks_url": f"{self.clerk_issuer}/.well-known/jwks.json",
            "checkout_success_path": self.portal_return_path,
            "checkout_cancel_path": self.portal_return_path,
        }
        for name, fallback in fallbacks.items():
            if not getattr(self, name):
                object.__setattr__(self, name, fallback)
        origins = dict.fromkeys((origin_of(self.app_url), *self.origins))
        object.__setattr__(self, "origins", tuple(origins))

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key moves real money."""
        return self.stripe_secret_key[2:].startswith("_live_")

    @property
    def mode(self) -> str:
        return "live" if self.livemode else "test"

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
        return [rf"\A{re.escape(o).replace(re.escape('*'), _DNS_LABEL)}\Z" for o in self.origins]

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
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, assumed: Mapping[str, str] | None = None
    ) -> "Settings":
        """Raises ConfigError naming every variable that is missing or malformed.

        assumed: for variables that are not set, where what is to be done does not need them.
        """
        environ = os.environ if environ is None else environ
        unset = {n: v for n, v in (assumed or {}).items() if not environ.get(n, "").strip()}
        settings, problems = cls.collect({**environ, **unset})
        if settings is None:
            raise ConfigError(problems)
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
            except Wrong as reason:
                problems[name or ""] = f"{name} is wrong: {reason}"
            except (ValueError, TypeError, RecursionError):
                problems[name or ""] = f"{name} is wrong: expected {expected}"
        if both := _sold_and_ignored(values):
            name = "STRIPE_IGNORED_PRODUCTS"
            problems[name] = f"{name} is wrong: {both} stands in STRIPE_PLANS too"
        return (None, list(problems.values())) if problems else (cls(**values), [])
