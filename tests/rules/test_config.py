"""The environment as settings: what is understood, what is refused, and that no secret is shown."""

import base64
import dataclasses
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from environments import GOOD, SECRETS, environment, problems, publishable_key, read, service_key

from portal_service.config import ConfigError, Plan, Settings

# What is understood


def test_the_required_variables_are_enough() -> None:
    settings = read()
    assert settings == Settings(
        stripe_secret_key="sk_test_hush1",
        stripe_webhook_secrets=("whsec_hush2",),
        plans=(Plan("pro", ("price_a", "price_b"), ("prod_X",)), Plan("team", ("price_c",))),
        supabase_url="https://abc.supabase.co",
        supabase_key="sb_secret_hush3",
        clerk_publishable_key=GOOD["CLERK_PUBLISHABLE_KEY"],
        clerk_issuer="https://clerk.example.com",
        clerk_jwks_url="https://clerk.example.com/.well-known/jwks.json",
        app_url="https://app.example.com",
        origins=("https://app.example.com",),
    )


def test_what_is_not_set_has_the_contracts_default() -> None:
    settings = read()
    defaults = {
        "clerk_jwt_key": None,
        "require_azp": False,
        "billing_owner": "user",
        "billing_org_roles": ("admin",),
        "portal_return_path": "/dashboard",
        "checkout_success_path": "/dashboard",
        "checkout_cancel_path": "/dashboard",
        "portal_configuration": None,
        "rate_limit": "30/minute",
        "refresh_rate_limit": "10/minute",
        "rate_limit_storage_uri": "memory://",
        "trusted_proxy_hops": 0,
        "metrics_token": None,
        "log_format": "json",
        "log_level": "INFO",
        "stripe_api_base": None,
        "stripe_timeout": 5,
        "database_timeout": 2,
        "url_prefix": "/api/stripe",
        "supabase_schema": "public",
    }
    assert {name: getattr(settings, name) for name in defaults} == defaults
    assert set(settings.entitled_statuses) == {"active", "trialing"}
    assert not settings.checkout_params


@pytest.mark.parametrize(
    ("variable", "value", "setting", "expected"),
    [
        ("STRIPE_SECRET_KEY", "sk_live_1aB", "stripe_secret_key", "sk_live_1aB"),
        ("STRIPE_SECRET_KEY", "rk_live_1aB", "stripe_secret_key", "rk_live_1aB"),
        ("STRIPE_SECRET_KEY", "  rk_test_1aB\n", "stripe_secret_key", "rk_test_1aB"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_a, whsec_b,", "stripe_webhook_secrets",
         ("whsec_a", "whsec_b")),
        ("SUPABASE_URL", "http://127.0.0.1:54321/", "supabase_url", "http://127.0.0.1:54321"),
        ("SUPABASE_SERVICE_ROLE_KEY", service_key("service_role"), "supabase_key",
         service_key("service_role")),
        ("SUPABASE_SCHEMA", "billing", "supabase_schema", "billing"),
        ("CLERK_JWKS_URL", "https://keys.example.com/jwks", "clerk_jwks_url",
         "https://keys.example.com/jwks"),
        ("CLERK_WEBHOOK_SECRET", "whsec_aHVzaDU=, whsec_aHVzaDU2", "clerk_webhook_secrets",
         ("whsec_aHVzaDU=", "whsec_aHVzaDU2")),
        ("CLERK_WEBHOOK_SECRET", "whsec_aHVzaDU", "clerk_webhook_secrets", ("whsec_aHVzaDU",)),
        ("ON_OWNER_DELETED", "cancel_at_period_end", "on_owner_deleted", "cancel_at_period_end"),
        ("ON_OWNER_DELETED", "cancel_now", "on_owner_deleted", "cancel_now"),
        ("ON_OWNER_DELETED", " keep ", "on_owner_deleted", "keep"),
        ("REQUIRE_AZP", "true", "require_azp", True),
        ("REQUIRE_AZP", "False", "require_azp", False),
        ("REQUIRE_AZP", "1", "require_azp", True),
        ("BILLING_OWNER", "organization", "billing_owner", "organization"),
        ("BILLING_OWNER", "user", "billing_owner", "user"),
        ("BILLING_ORG_ROLES", "org:admin, billing", "billing_org_roles", ("admin", "billing")),
        ("BILLING_ORG_ROLES", "org:billing_manager", "billing_org_roles", ("billing_manager",)),
        ("APP_URL", "https://example.com/app/", "app_url", "https://example.com/app"),
        ("PORTAL_RETURN_PATH", "/", "portal_return_path", "/"),
        ("PORTAL_RETURN_PATH", "/a/b?tab=billing#top", "portal_return_path",
         "/a/b?tab=billing#top"),
        ("CHECKOUT_SUCCESS_PATH", "/welcome", "checkout_success_path", "/welcome"),
        ("CHECKOUT_CANCEL_PATH", "/pricing", "checkout_cancel_path", "/pricing"),
        ("STRIPE_PORTAL_CONFIGURATION", "bpc_1aB", "portal_configuration", "bpc_1aB"),
        ("RATE_LIMIT", "5/second", "rate_limit", "5/second"),
        ("REFRESH_RATE_LIMIT", "100 per hour", "refresh_rate_limit", "100 per hour"),
        ("TRUSTED_PROXY_HOPS", "2", "trusted_proxy_hops", 2),
        ("METRICS_TOKEN", "any thing", "metrics_token", "any thing"),
        ("LOG_FORMAT", "text", "log_format", "text"),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("STRIPE_API_BASE", "http://127.0.0.1:9/", "stripe_api_base", "http://127.0.0.1:9"),
        ("STRIPE_TIMEOUT_SECONDS", "0.5", "stripe_timeout", 0.5),
        ("DATABASE_TIMEOUT_SECONDS", "10", "database_timeout", 10),
        ("URL_PREFIX", "/billing/v1", "url_prefix", "/billing/v1"),
        ("URL_PREFIX", "/billing/", "url_prefix", "/billing"),
        ("URL_PREFIX", "/", "url_prefix", ""),
    ],
)  # fmt: skip
def test_a_good_value_is_understood(
    variable: str, value: str, setting: str, expected: object
) -> None:
    assert getattr(read(**{variable: value}), setting) == expected


@pytest.mark.parametrize("value", ["", "  ", "\t\n"])
def test_an_empty_value_is_none(value: str) -> None:
    assert read(PORTAL_RETURN_PATH=value).portal_return_path == "/dashboard"
    assert problems(APP_URL=value)[0].startswith("APP_URL")


def test_the_paths_of_checkout_follow_the_portals() -> None:
    settings = read(PORTAL_RETURN_PATH="/settings", CHECKOUT_CANCEL_PATH="/pricing")
    assert settings.checkout_success_path == "/settings"
    assert settings.checkout_cancel_path == "/pricing"


@pytest.mark.parametrize(
    ("ours", "nexts", "value"),
    [
        ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL", "https://abc.supabase.co"),
        ("CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", publishable_key("a.dev")),
        ("APP_URL", "NEXT_PUBLIC_APP_URL", "https://app.example.com"),
        ("STRIPE_PLANS", "NEXT_PUBLIC_STRIPE_PRO_PRICE_ID", "price_a"),
        ("STRIPE_PLANS", "STRIPE_PRO_PRICE_ID", "price_a"),
        ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY", "sb_secret_new"),
    ],
)
def test_another_name_is_read_where_ours_is_missing(ours: str, nexts: str, value: str) -> None:
    assert read(**{ours: None, nexts: value}) == read(**{ours: value})
    assert read(**{nexts: "not looked at"}) == read()
    assert problems(**{ours: None, nexts: "! !"})[0].startswith(nexts)


# What is refused


@pytest.mark.parametrize("variable", GOOD)
def test_a_missing_variable_is_named(variable: str) -> None:
    (problem,) = problems(**{variable: None})
    assert variable in problem
    assert "missing" in problem


BAD = [
    ("STRIPE_SECRET_KEY", ["pk_test_1", "sk_test_", "sk_1", "sk_test_a b", "whsec_a", "sk_prod_1"]),
    ("STRIPE_WEBHOOK_SECRET", ["sk_test_1", "whsec_", "whsec_a,b", ",", "whsec_a whsec_b"]),
    ("CLERK_WEBHOOK_SECRET", ["sk_test_1", "whsec_", "aHVzaDU=", "whsec_a!", "whsec_a", "whsec_=",
                              "whsec_aHVzaDU=,b", ",", "whsec_aHVz aDU2"]),
    ("ON_OWNER_DELETED", ["cancel", "Keep", "cancel_at_period_end,keep", "none", "true"]),
    ("STRIPE_PLANS", ["pro", "pro=", "=price_a", "pro=prod_x", "free=price_a",
                      "pro=price_a;;free=price_b", "pro=foo", "pro=price_a,sk_test_1",
                      "pro=price_a;pro=price_b", "pro=price_a;team=price_a", "p r=price_a",
                      "pro=price_a,price_a", "pro=prod_x,price_a;team=prod_x,price_b", ";",
                      "pro=price:", "pro=product:gold", "pro=Price:gold", "pro=gold",
                      "pro=price:a b", "pro=price_a,price:price_a",
                      "pro=price:gold;team=price:gold"]),
    ("STRIPE_IGNORED_PRODUCTS", ["support", "price_a", "prod_a b", "prod_", ",", "price:x",
                                 "prod-x", "product:", "prod_a;prod_b"]),
    ("SUPABASE_URL", ["abc.supabase.co", "ftp://abc.supabase.co", "https://", "postgres://x/y",
                      "https://abc.supabase.co?x=1", "https://u:p@abc.supabase.co", "https://[",
                      "https://abc.supabase.co:port", "https://a b.co", "https://abc.co#x"]),
    ("SUPABASE_SERVICE_ROLE_KEY", ["sb_publishable_x", service_key("anon"), "sk_test_1",
                                   service_key("authenticated"), "whsec_x", "a b"]),
    ("SUPABASE_SCHEMA", ["Billing", '"billing"', "billing,public", "a b", "1st", "b;", "a" * 64]),
    ("CLERK_PUBLISHABLE_KEY", ["sk_test_x", "pk_test_", "pk_test_!!!", "pk_prod_YSQ", "pk_test_w",
                               "https://clerk.example.com", "clerk.example.com"]),
    ("CLERK_ISSUER", ["clerk.example.com", "https://", "https://clerk.example.com?x=1"]),
    ("CLERK_JWKS_URL", ["/jwks.json", "keys.example.com", "file:///etc/passwd"]),
    ("CLERK_JWT_KEY", ["not a pem", "-----BEGIN PUBLIC KEY-----\\nMIIB\\n-----END PUBLIC KEY-----",
                       "-----BEGIN PRIVATE KEY-----"]),
    ("REQUIRE_AZP", ["yes", "on", "2", "truefalse"]),
    ("BILLING_OWNER", ["users", "org", "Organization", "organisation", "user,organization"]),
    ("BILLING_ORG_ROLES", [",", "org:", "admin member", "org:a:b", "admin;member"]),
    ("APP_URL", ["app.example.com", "https://", "javascript:alert(1)", "https://a.com/?x",
                 "https://a.com\\b", "https://user@a.com", "/dashboard", "https://a.com:99999"]),
    ("PORTAL_RETURN_PATH", ["dashboard", "//evil.com", "/\\evil.com", "https://evil.com", "/a b",
                            "/a\\b", "/\tb"]),
    ("CHECKOUT_SUCCESS_PATH", ["welcome", "//evil.com"]),
    ("CHECKOUT_CANCEL_PATH", ["pricing", "//evil.com"]),
    ("STRIPE_CHECKOUT_PARAMS", ["{", "[]", '"x"', "1", "null", "tax=1", '{"nonsense": 1}']),
    ("STRIPE_PORTAL_CONFIGURATION", ["pc_1", "bpc_", "bpc_a b"]),
    ("ENTITLED_STATUSES", ["live", "active,gone", ",", "active trialing", "canceled",
                           "incomplete_expired"]),
    ("RATE_LIMIT", ["30", "often", "30/fortnight", "-1/minute"]),
    ("REFRESH_RATE_LIMIT", ["10", "minute/10"]),
    ("RATE_LIMIT_STORAGE_URI", ["memory", "carrier-pigeon://x", "redis"]),
    ("TRUSTED_PROXY_HOPS", ["-1", "one", "1.5", "1000"]),
    ("LOG_FORMAT", ["xml", "JSON5"]),
    ("LOG_LEVEL", ["LOUD", "5"]),
    ("STRIPE_API_BASE", ["api.stripe.com", "https://api.stripe.com?x=1"]),
    ("STRIPE_TIMEOUT_SECONDS", ["0", "-1", "five", "nan", "inf", "1e9", "61"]),
    ("DATABASE_TIMEOUT_SECONDS", ["0", "0.01", "2s", "nan"]),
    ("URL_PREFIX", ["api", "//", "/a b", "/api//stripe", "/<x>", "/a?b"]),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "values"), BAD)
def test_a_bad_value_is_named_with_what_it_should_be(variable: str, values: list[str]) -> None:
    for value in values:
        found = problems(**{variable: value})
        assert len(found) == 1, (value, found)
        assert found[0].startswith(f"{variable} is wrong: "), value
        assert len(found[0]) > len(f"{variable} is wrong: expected "), value


@pytest.mark.parametrize("value", ["0/minute", "30/minute;1/second", "30/minute, 1/second"])
def test_a_limit_is_one_limit_that_lets_somebody_through(value: str) -> None:
    assert problems(RATE_LIMIT=value)


def test_a_storage_for_asynchronous_programs_is_refused() -> None:
    assert problems(RATE_LIMIT_STORAGE_URI="async+memory://")


def test_every_wrong_variable_is_named_at_once() -> None:
    bad = {variable: values[0] for variable, values in BAD}
    found = problems(**bad)
    assert len(found) == len(bad)
    assert {line.split()[0] for line in found} == set(bad)
    with pytest.raises(ConfigError) as refused:
        Settings.from_environment(environment(**bad))
    assert all(variable in str(refused.value) for variable in bad)


def test_an_empty_environment_names_each_required_variable_once() -> None:
    settings, found = Settings.collect({})
    assert settings is None
    assert [line.split()[0] for line in found] == [
        "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_PLANS", "SUPABASE_URL",
        "SUPABASE_SERVICE_ROLE_KEY", "CLERK_ISSUER", "APP_URL",
    ]  # fmt: skip
    assert "CLERK_PUBLISHABLE_KEY" in " ".join(found)


def test_one_bad_publishable_key_is_one_problem() -> None:
    assert len(problems(CLERK_PUBLISHABLE_KEY="pk_test_!!!")) == 1


# Secrets


def hidden(text: str) -> bool:
    return not re.search("hush|c2lnbmF0dXJl|eyJ", text)


@pytest.mark.parametrize("variable", SECRETS)
def test_a_problem_never_shows_a_secret(variable: str) -> None:
    mangled = SECRETS[variable].replace("sk_", "xk_").replace("whsec_", "hsec_") + " trailing"
    for value in (SECRETS[variable] + " x", mangled, service_key("anon")):
        assert hidden("\n".join(problems(**{variable: value})))


def test_a_secret_in_the_wrong_variable_is_not_shown_either() -> None:
    for variable, _ in BAD:
        for secret in SECRETS.values():
            assert hidden("\n".join(problems(**{variable: secret}))), variable


def test_the_settings_can_be_printed_without_showing_a_secret() -> None:
    settings = read(**SECRETS, RATE_LIMIT_STORAGE_URI="memory://hush5")
    assert hidden(repr(settings))
    assert hidden(str(settings))
    assert hidden(f"{settings}")
    assert "https://app.example.com" in repr(settings)


def test_the_settings_never_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().app_url = "https://evil.example"  # type: ignore[misc]


# Mode


@pytest.mark.parametrize(
    ("key", "livemode"),
    [
        ("sk_live_1", True),
        ("rk_live_1", True),
        ("sk_test_1", False),
        ("rk_test_1", False),
        ("sk_test_a_live_b", False),
    ],
)
def test_the_key_tells_the_mode(key: str, livemode: bool) -> None:
    assert read(STRIPE_SECRET_KEY=key).livemode is livemode


# Clerk


@pytest.mark.parametrize("mode", ["test", "live"])
@pytest.mark.parametrize(
    "host", ["a.dev", "ab.dev", "abc.dev", "abcd.dev", "happy-cat-12.clerk.accounts.dev"]
)
def test_a_publishable_key_names_the_issuer_whatever_its_padding(host: str, mode: str) -> None:
    key = publishable_key(host, mode)
    assert "=" not in key
    assert read(CLERK_PUBLISHABLE_KEY=key).clerk_issuer == f"https://{host}"
    assert read(CLERK_PUBLISHABLE_KEY=key + "==").clerk_issuer == f"https://{host}"


@pytest.mark.parametrize(
    "host", ["localhost", "evil@a.dev", "a.dev?x=1", "a.dev#x", "a.dev/x", "a.dev$", "a .dev", ""]
)
def test_a_publishable_key_names_a_host_and_nothing_else(host: str) -> None:
    assert problems(CLERK_PUBLISHABLE_KEY=publishable_key(host))


def test_a_publishable_key_ends_with_a_dollar() -> None:
    encoded = base64.b64encode(b"clerk.example.com").decode()
    assert problems(CLERK_PUBLISHABLE_KEY=f"pk_test_{encoded}")


@pytest.mark.parametrize(
    ("issuer", "jwks_url"),
    [
        ("https://id.example.com", "https://id.example.com/.well-known/jwks.json"),
        ("https://example.com/clerk/", "https://example.com/clerk/.well-known/jwks.json"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000/.well-known/jwks.json"),
    ],
)
def test_an_issuer_wins_over_the_publishable_key(issuer: str, jwks_url: str) -> None:
    settings = read(CLERK_ISSUER=issuer)
    assert settings.clerk_issuer == issuer.rstrip("/")
    assert settings.clerk_jwks_url == jwks_url
    assert settings.clerk_publishable_key == GOOD["CLERK_PUBLISHABLE_KEY"]


def test_an_issuer_alone_is_enough() -> None:
    settings = read(CLERK_ISSUER="https://id.example.com", CLERK_PUBLISHABLE_KEY=None)
    assert settings.clerk_publishable_key is None
    assert settings.session_cookies == ("__session",)


def test_the_cookie_of_the_instance_comes_first() -> None:
    settings = read(CLERK_PUBLISHABLE_KEY="pk_test_Y2xlcmsuZXhhbXBsZS5jb20k")
    # The first eight characters of the url-safe base64 of the key's SHA-1.
    assert settings.session_cookies == ("__session_l2OS3d9k", "__session")


def test_a_pem_may_have_its_line_ends_written_out() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
    assert read(CLERK_JWT_KEY=pem).clerk_jwt_key == pem
    assert read(CLERK_JWT_KEY=pem.replace("\n", "\\n")).clerk_jwt_key == pem
    assert read(CLERK_JWT_KEY=pem.replace("\n", "\\n") + "\\n").clerk_jwt_key == pem + "\n"


def test_a_pem_of_another_kind_of_key_is_refused() -> None:
    key = Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (problem,) = problems(CLERK_JWT_KEY=pem)
    assert problem.startswith("CLERK_JWT_KEY") and "RSA" in problem
