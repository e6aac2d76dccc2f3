"""Where an attacker would like Stripe to send people afterwards: refused over HTTP before Stripe is
asked, and whatever is accepted stays with the app. The rule by table, and by mixtures of parts, is
tests/rules/test_inputs.py.
"""

import re

import pytest
from service_under_test import APP_URL, MakeService, Service, calls, link, refused

from sandbox.world import World

ORIGINS = (APP_URL, "https://admin.example.com", "https://*-acme.vercel.app")

EVIL = [
    "//evil.example", "///evil.example", "////evil.example/%2f..", "//evil.example/@localhost:8000",
    "https:evil.example", "https:/evil.example", "https:///evil.example", "http:evil.example",
    "https://evil.example", "HTTPS://evil.example", "hTTp://evil.example", "//localhost:8000",
    "http://localhost:8000@evil.example", "http://localhost:8000:x@evil.example",
    "http://evil.example@localhost:8000", "http://user:password@localhost:8000",
    "http://@localhost:8000", "http://:@localhost:8000", "http://localhost%3A8000@evil.example",
    "http://localhost:8000%40evil.example", "http://localhost:8000%2eevil.example",
    "http://localhost:8000.evil.example", "http://localhost:8000evil.example",
    "http://localhost:80000", "http://localhost:08000@evil.example", "http://localhost:",
    "http://localhost", "https://localhost:8000", "ftp://localhost:8000", "ws://localhost:8000",
    "\\\\evil.example", "/\\evil.example", "\\/evil.example", "/\\/evil.example", "/a\\..\\evil",
    "http:\\\\evil.example", "http://localhost:8000\\@evil.example",
    "http://evil.example\\localhost:8000", "http://evil.example\\@localhost:8000",
    "https://\u0430dmin.example.com",  # a Cyrillic a
    "https://admin.ex\u0430mple.com", "https://\uff41dmin.example.com",
    "https://admin\u3002example.com", "https://admin.example\uff0ecom", "https://admin.example.c\u043em",
    "https://admin.example.com\u2024evil.example", "https://adm\u0131n.example.com",
    "https://admin\u00ad.example.com", "https://admin\u200b.example.com",
    "https://xn--dmin-8cd.example.com", "https://xn--admin.example.com",
    "https://evil.example\u2044admin.example.com", "https://admin.example.com\u2215.evil.example",
    "\uff0f\uff0fevil.example", "/\uff0fevil.example", "\u2215\u2215evil.example",
    "http://localhost:8000\uff20evil.example", "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3:8000",
    "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)",
    "javascript://localhost:8000/%0aalert(1)",
    "javascript:/dashboard", "vbscript:x", "data:text/html,x",
    "data:,http://localhost:8000",
    "file:///etc/passwd", "blob:http://localhost:8000/x", "about:blank",
    "view-source:http://localhost:8000", "intent://localhost:8000", "mailto:a@localhost",
    "?x", "#x", ".",
    "..", "../x", "settings", "%2fsettings", "%2f%2fevil.example",
    "localhost:8000", "localhost:8000/x",
    "https://evil.example#http://localhost:8000", "https://evil.example#@localhost:8000",
    "https://evil.example?http://localhost:8000", "https://evil.example/http://localhost:8000",
    "/" + "a" * 5000, f"{APP_URL}/" + "a" * 5000, "http://localhost:8000/" + "?" * 5000,
    "https://" + "a" * 5000, "/" * 5000, "http://" + "localhost:8000@" * 400,
    "/settings\n", "\n/settings", "/settings\nLocation: https://evil.example", "/\n/evil.example",
    "/settings\r\nSet-Cookie: a=b", "/\r/evil.example", "/\t/evil.example", "\t//evil.example",
    "ht\ntp://localhost:8000", "http://localhost:8000\n.evil.example", "http://local\thost:8000",
    " //evil.example", "/ /evil.example", "/settings ", "\0/settings",
    "/set\0tings", "/\x0b/evil.example",
    "/\x7f", "/\xa0", "\ufeff/settings", "/\u2028", "/\u202esgnittes", "/\ud800",
    "http://[::1]:8000", "http://[::ffff:127.0.0.1]:8000", "http://127.0.0.1:8000", "http://0:8000",
    "http://2130706433:8000", "http://localhost.:8000", "http://[localhost]:8000", "http://[::1",
    "https://x-acme.vercel.app.evil.example", "https://evil.example/x-acme.vercel.app",
    "https://evil.example#-acme.vercel.app", "https://evil.example?-acme.vercel.app",
    "https://-acme.vercel.app", "https://a.b-acme.vercel.app", "https://a@x-acme.vercel.app",
    "https://evil.example%2f-acme.vercel.app", "https://evil.example:443-acme.vercel.app",
    "https://x_-acme.vercel.app", "https://x-acme.vercel.app:444", "http://x-acme.vercel.app",
    "https://xacme.vercel.app", "https://*-acme.vercel.app",
    "", " ", "null", "undefined", "{CHECKOUT_SESSION_ID}", "https://{CHECKOUT_SESSION_ID}",
]  # fmt: skip


@pytest.fixture
def service(world: World, make_service: MakeService, ada: str) -> Service:
    """With no limit of rate, and a customer of ada's."""
    link(world, world.stripe.create_customer()["id"])
    world.stripe.calls.clear()
    return make_service(origins=ORIGINS, rate_limit="1000000/minute")


@pytest.mark.parametrize("path", ["/portal", "/checkout"])
def test_an_address_that_leads_elsewhere_is_refused_before_stripe_is_asked(
    world: World, service: Service, path: str
) -> None:
    accepted = []
    for url in EVIL:
        answer = service.call("POST", path, json={"return_path": url}, headers=service.bearer())
        if answer.status_code == 400:
            refused(answer, "invalid_request")
        else:
            accepted.append(url)
    assert accepted == []
    assert calls(world.stripe) == []


@pytest.mark.parametrize("flow", ["payment_method_update", "subscription_cancel"])
def test_a_flow_is_no_way_around(world: World, service: Service, flow: str) -> None:
    for url in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        refused(service.portal(body={"return_path": url, "flow": flow}), "invalid_request")
    assert calls(world.stripe) == []


def sent_addresses(world: World) -> set[str]:
    """Each address that Stripe was told to send somebody to."""
    found = set()
    for session in world.stripe.portal_sessions.values():
        found.add(session["return_url"])
    for session in world.stripe.sessions.values():
        found |= {session["success_url"], session["cancel_url"]}
    return found


def stays(url: str) -> bool:
    """Whether a browser goes to an allowed origin; read by the letter, with no parser of ours."""
    return (
        bool(
            re.match(
                r"(http://localhost:8000|https://admin\.example\.com(:443)?"
                r"|https://[a-z0-9]([a-z0-9-]*[a-z0-9])?-acme\.vercel\.app(:443)?)([/?#][!-~]*)?\Z",
                url,
                re.IGNORECASE,
            )
        )
        and "\\" not in url.partition("?")[0]
    )


LOOKS_EVIL = [
    "/#//evil.example", "/#@evil.example", "/?next=//evil.example", "/@evil.example", "/..//evil",
    "/%0d%0aSet-Cookie:a=b", "/%5cevil.example", "/{CHECKOUT_SESSION_ID}",
    "/x?checkout_session_id=1", f"{APP_URL}#@evil.example", f"{APP_URL}?@evil.example",
    f"{APP_URL}/#javascript:alert(1)", f"{APP_URL}/@evil.example", f"{APP_URL}//evil.example",
    "/a//evil.example", "/.//evil.example",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/portal", "/checkout"])
def test_what_looks_evil_and_stays_is_sent_as_it_is(
    world: World, service: Service, path: str
) -> None:
    for url in LOOKS_EVIL:
        answer = service.call("POST", path, json={"return_path": url}, headers=service.bearer())
        assert answer.status_code == 200, answer.text
        sent = sent_addresses(world)
        assert sent and all(stays(address) for address in sent), sent
