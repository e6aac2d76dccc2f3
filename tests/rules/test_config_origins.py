"""APP_URL and ALLOWED_ORIGINS: whose pages may call, and where their users come back to."""

import pytest
from environments import problems, read


@pytest.mark.parametrize(
    ("app_url", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://APP.Example.com/base", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:3000/", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_the_origin_of_the_app_is_the_default(app_url: str, origin: str) -> None:
    assert read(APP_URL=app_url).origins == (origin,)
    assert read(APP_URL=app_url).allows_origin(origin)


def test_listed_origins_stand_beside_the_apps_own() -> None:
    settings = read(ALLOWED_ORIGINS="https://a.example.com, http://localhost:3000/")
    assert settings.origins == (
        "https://app.example.com", "https://a.example.com", "http://localhost:3000",
    )  # fmt: skip
    assert all(map(settings.allows_origin, settings.origins))
    assert read(ALLOWED_ORIGINS="https://app.example.com").origins == ("https://app.example.com",)


PACKAGED = [
    "capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://my-app",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
    "safari-web-extension://2C127FA4-62C7-7E4F-90E5-472B45EECFDC",
]  # fmt: skip


@pytest.mark.parametrize("origin", PACKAGED)
def test_the_origin_of_a_packaged_app_is_allowed_exactly(origin: str) -> None:
    settings = read(ALLOWED_ORIGINS=f"https://a.example.com,{origin}")
    assert settings.allows_origin(origin)
    scheme = origin.partition(":")[0]
    for other in (
        f"{origin}x", f"{origin}/", f"{origin}:80", f"x{origin}", f"{scheme}://",
        f"{scheme}://evil", f"https://{origin.partition('//')[2]}", scheme,
    ):  # fmt: skip
        assert not settings.allows_origin(other)


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://app.example.com", "https://app.example.com/base"),
        ("https://a.example.com", "https://a.example.com"),
        ("https://git-main-acme.vercel.app", "https://git-main-acme.vercel.app"),
        ("capacitor://localhost", "https://app.example.com/base"),
        ("https://evil.com", "https://app.example.com/base"),
        ("null", "https://app.example.com/base"),
        ("", "https://app.example.com/base"),
    ],
)
def test_people_come_back_to_the_page_that_asked_where_it_is_an_allowed_one_of_the_web(
    origin: str, url: str
) -> None:
    settings = read(
        APP_URL="https://app.example.com/base",
        ALLOWED_ORIGINS="https://a.example.com,https://*-acme.vercel.app,capacitor://localhost",
    )
    assert settings.app_url_for(origin) == url


NO_ORIGINS = (
    ["*", "https://*", "https://*.com", "https://app.*.com", "https://app.example.*", "*.a.com",
     "https://*.example.com/path", "https://**.example.com", "https://*-*.example.com",
     "https://a.example.com/path", "https://a.example.com?x", "app.example.com", "null", ",",
     "https://u@a.example.com", "ftp://a.example.com", "https://a.example.com:443",
     "https://a.example.com, *", "capacitor://*", "capacitor://", "capacitor://local host",
     "capacitor://localhost/", "capacitor://localhost:80", "Capacitor://localhost",
     "chrome-extension://*", "chrome-extension://abc/x", "javascript://x", "file://", "data:x",
     "opera-extension://abc", "chrome://settings"]
)  # fmt: skip


def test_an_origin_that_is_none_is_refused() -> None:
    for value in NO_ORIGINS:
        found = problems(ALLOWED_ORIGINS=value)
        assert len(found) == 1 and found[0].startswith("ALLOWED_ORIGINS is wrong"), (value, found)


@pytest.mark.parametrize(
    ("allowed", "origin", "is_allowed"),
    [
        ("https://app.example.com", "https://app.example.com", True),
        ("https://app.example.com", "http://app.example.com", False),
        ("https://app.example.com", "https://app.example.com:8443", False),
        ("https://app.example.com", "https://app.example.com.evil.com", False),
        ("https://app.example.com", "https://evil-app.example.com", False),
        ("https://app.example.com", "https://appXexample.com", False),
        ("https://app.example.com", "https://app.example.com/", False),
        ("https://app.example.com", "https://app.example.com\n", False),
        ("https://app.example.com", "null", False),
        ("https://app.example.com", "", False),
        ("https://*-acme.vercel.app", "https://git-main-acme.vercel.app", True),
        ("https://*-acme.vercel.app", "https://a-acme.vercel.app", True),
        ("https://*-acme.vercel.app", "https://-acme.vercel.app", False),
        ("https://*-acme.vercel.app", "https://x.y-acme.vercel.app", False),
        ("https://*-acme.vercel.app", "https://evil.com/-acme.vercel.app", False),
        ("https://*-acme.vercel.app", "https://evil.com#-acme.vercel.app", False),
        ("https://*-acme.vercel.app", "https://a@b-acme.vercel.app", False),
        ("https://*-acme.vercel.app", "http://a-acme.vercel.app", False),
        ("https://*-acme.vercel.app", "https://a-acme.vercel.app:8443", False),
        ("https://*-acme.vercel.app", "https://*-acme.vercel.app", False),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://a.b.example.com", False),
        ("http://*.local.test:3000", "http://a.local.test:3000", True),
        ("http://*.local.test:3000", "http://a.local.test", False),
    ],
)
def test_an_origin_is_allowed_as_a_whole_or_not_at_all(
    allowed: str, origin: str, is_allowed: bool
) -> None:
    assert read(ALLOWED_ORIGINS=allowed).allows_origin(origin) is is_allowed
