"""What a request may say, and that nothing else gets through."""

import json
import re
import typing
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from given import PLANS, settings
from hypothesis import example
from hypothesis import given as for_all
from hypothesis import strategies as st
from stripe.params.billing_portal import SessionCreateParams as PortalParams
from stripe.params.checkout import SessionCreateParams as CheckoutParams

from portal_service import inputs
from portal_service.config import origin_of
from portal_service.errors import ServiceError

WEB = settings(
    app_url="https://app.example.com",
    origins=("http://localhost:3000", "https://*-acme.vercel.app", "capacitor://localhost"),
)
APP = "https://app.example.com"


def refusal(ask: Callable[[], object]) -> str:
    """The sentence of the `invalid_request` that it raises."""
    with pytest.raises(ServiceError) as refused:
        ask()
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)
    return refused.value.sentence


# return_path


def come_back(return_path: object) -> str | None:
    return inputs.return_url({"return_path": return_path}, WEB, APP)


@pytest.mark.parametrize(
    ("return_path", "url"),
    [
        ("/", "https://app.example.com/"),
        ("/settings", "https://app.example.com/settings"),
        ("/settings?tab=billing&x=1#top", "https://app.example.com/settings?tab=billing&x=1#top"),
        ("/a//b", "https://app.example.com/a//b"),
        ("/../..//evil.com", "https://app.example.com/../..//evil.com"),
        ("/@evil.com", "https://app.example.com/@evil.com"),
        ("/%2f%2fevil.com", "https://app.example.com/%2f%2fevil.com"),
        ("/:8080", "https://app.example.com/:8080"),
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/x?y=//evil.com", "https://app.example.com/x?y=//evil.com"),
        ("https://app.example.com:443/x", "https://app.example.com:443/x"),
        ("https://APP.example.com/x", "https://APP.example.com/x"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        ("https://git-main-acme.vercel.app/x", "https://git-main-acme.vercel.app/x"),
        ("/" + "x" * 1999, "https://app.example.com/" + "x" * 1999),
    ],
)
def test_a_path_or_an_address_of_an_allowed_origin_is_where_to_come_back_to(
    return_path: str, url: str
) -> None:
    assert come_back(return_path) == url


def test_nothing_wanted_is_nothing_said() -> None:
    assert inputs.return_url({}, WEB, APP) is None


def test_a_path_is_one_of_the_app_also_below_a_base_path() -> None:
    base = "https://example.com/app"
    app = settings(app_url=base)
    assert inputs.return_url({"return_path": "/x"}, app, base) == "https://example.com/app/x"


def test_a_path_is_one_of_the_page_that_asks() -> None:
    preview = "https://git-main-acme.vercel.app"
    assert inputs.return_url({"return_path": "/x"}, WEB, preview) == f"{preview}/x"
    assert inputs.return_url({"return_path": f"{APP}/x"}, WEB, preview) == f"{APP}/x"


ATTACKS = [
    "//evil.com", "///evil.com", "////evil.com", "/\\evil.com", "\\/evil.com", "\\\\evil.com",
    "/\\/evil.com", "\\evil.com", "/a\\b", "https:\\\\app.example.com\\x",
    "https://app.example.com\\@evil.com", "https://app.example.com\\.evil.com",
    "https://evil.com\\app.example.com",
    "https:evil.com", "https:/evil.com", "https:///evil.com", "https:app.example.com",
    "https:/app.example.com", "https:///app.example.com", "https://", "http://", "https:",
    "https://evil.com", "http://app.example.com", "https://app.example.com:8443",
    "https://app.example.com.evil.com", "https://evil.com/app.example.com",
    "https://evil.com#app.example.com", "https://evil.com?app.example.com",
    "https://evil.com?https://app.example.com", "https://appXexample.com",
    "https://evilapp.example.com", "https://sub.app.example.com", "https://example.com",
    "https://app.example.com.", "https://app.example.com./x",
    "https://app.example.com@evil.com", "https://app.example.com:x@evil.com",
    "https://user@app.example.com", "https://user:pass@app.example.com",
    "https://@app.example.com", "https://:@app.example.com", "https://evil.com@app.example.com",
    "https://app.example.com:443@evil.com", "https://app.example.com%40evil.com",
    "https://app.example.com%2eevil.com", "https://app.example.com%00.evil.com",
    "https://app.example.com%2f.evil.com", "https://app.example.com;evil.com",
    "https://app.example.com,evil.com", "https://app.example.com&evil.com",
    "https://app.example.com:443.evil.com", "https://app.example.com:port",
    "https://app.example.com:99999", "https://app.example.com:-443",
    "https://[app.example.com]", "https://[::1", "https://[::1]", "https://[", "https://]",
    "http://localhost", "http://localhost:3001", "https://localhost:3000",
    "http://127.0.0.1:3000", "http://2130706433:3000",
    "https://-acme.vercel.app", "https://x.evil-acme.vercel.app",
    "https://evil.com/-acme.vercel.app", "https://evil.com#-acme.vercel.app",
    "https://a-acme.vercel.app.evil.com", "https://a-acme.vercel.app:8443",
    "https://*-acme.vercel.app", "https://a@b-acme.vercel.app",
    "https://аpp.example.com",  # a Cyrillic а
    "https://app.example。com", "https://app․example.com", "https://ａpp.example.com",
    "https://app.example.com／x", "https://app.example.com＠evil.com", "https://ßpp.example.com",
    "/ｅvil", "／／evil.com", "/é",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "javascript://app.example.com/%0aalert(1)",
    "data:text/html,x", "vbscript:x", "file:///etc/passwd", "ftp://app.example.com",
    "ws://app.example.com", "wss://app.example.com", "capacitor://localhost",
    "capacitor://localhost/x", "blob:https://app.example.com/x",
    "HTTPS://evil.com", "htTps:evil.com", "app.example.com", "app.example.com/x", "settings",
    "?x=1", "#top", "", ".", "..", "../x", "~", ":", "@", "@evil.com", ";//evil.com",
    " /x", "/x ", "/x y", "\t/x", "/\t/evil.com", "/\n/evil.com", "/\r/evil.com", "\n//evil.com",
    "/x\n", "/x\r\nLocation: https://evil.com", "/x\0", "\0/x", "/\x00/evil.com", "/x\x7f",
    "\x01https://app.example.com", "ht\ntps://evil.com", "https://app.example.com\n",
    "https://app.example.com\t.evil.com", "https://app.exa\nmple.com", "https:/\t/evil.com",
    "https://app.example.com /x", "/\u2028x", "/\u00a0x", "\ufeff/x", "/\ud800", "/x" * 2500,
    "/" + "x" * 2000, "https://app.example.com/" + "x" * 5000, "https://" + "a" * 5000,
]  # fmt: skip


def test_another_place_to_come_back_to_is_refused() -> None:
    for attack in ATTACKS:
        try:
            accepted = come_back(attack)
        except ServiceError as refused:
            assert (refused.code, refused.status) == ("invalid_request", 400), ascii(attack)
            assert "return_path" in refused.sentence, ascii(attack)
        else:
            pytest.fail(f"{attack!a} leads to {accepted!a}")


@pytest.mark.parametrize("other", [1, 0, True, False, 1.5, [], ["/x"], {}, {"path": "/x"}])
def test_a_return_path_that_is_not_a_text_is_refused(other: object) -> None:
    refusal(lambda: come_back(other))


URL_PIECES = [
    "https://app.example.com", "http://localhost:3000", "https://a-acme.vercel.app", "https:",
    "http:", "HTTPS:", "/", "//", "\\", "@", ":", "#", "?", ".", "..", "%2f", "%5c", "evil.com",
    "app.example.com", "localhost", "3000", ":443", "-acme.vercel.app", "x", " ", "\t", "\n",
    "\r", "\0", "[", "]", "[::1]", "javascript:", "а", "。", "／", "＠", "user:pw@", "*", ";",
]  # fmt: skip
# What browsers make of an address: scheme, an optional userinfo, host and port.
BROWSERS_ORIGIN = re.compile(
    r"(https?)://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]*))?(?=[/?#]|\Z)", re.IGNORECASE
)


@for_all(st.one_of(st.lists(st.sampled_from(URL_PIECES), max_size=7).map("".join), st.text()))
@example("https://app.example.com:443/x")
@example("https://APP.EXAMPLE.COM")
@example("/x")
def test_whatever_is_accepted_leads_to_an_allowed_origin(return_path: str) -> None:
    try:
        url = come_back(return_path)
    except ServiceError as refused:
        assert refused.code == "invalid_request"
        return
    assert url is not None
    parts = urlsplit(url)
    assert WEB.allows_origin(origin_of(url))
    assert (parts.username, parts.password) == (None, None)
    assert url.isascii() and url.isprintable() and not set(" \\") & set(url)
    # And as a browser reads it, not only as Python does.
    browsers = BROWSERS_ORIGIN.match(url)
    assert browsers, url
    port = browsers["port"] or ""
    default = {"http": "80", "https": "443"}[browsers[1].lower()]
    origin = f"{browsers[1]}://{browsers['host']}".lower()
    assert WEB.allows_origin(origin if int(port or default) == int(default) else f"{origin}:{port}")


# locale


def literals(params: type, name: str) -> set[str]:
    """The values that the SDK lists for a parameter; its annotations are texts or types."""
    annotation = params.__annotations__[name]
    text = getattr(annotation, "__forward_arg__", None) or str(annotation)
    return set(re.findall(r"'([^']+)'", text))


@pytest.mark.parametrize(
    ("params", "ours"),
    [(PortalParams, inputs.PORTAL_LOCALES), (CheckoutParams, inputs.CHECKOUT_LOCALES)],
    ids=["portal", "checkout"],
)
def test_the_locales_are_those_of_the_sdk(params: type, ours: tuple[str, ...]) -> None:
    assert set(ours) == literals(params, "locale")
    assert len(ours) == len(set(ours))


def test_the_flows_are_among_those_of_the_sdk() -> None:
    data = PortalParams.__annotations__["flow_data"]
    name = re.search(r"SessionCreateParams\w+", str(data))
    assert name
    module = typing.cast(Any, stripe.params.billing_portal._session_create_params)
    assert set(inputs.FLOWS) <= literals(getattr(module, name[0]), "type")


BOTH, PORTAL, CHECKOUT = "both", inputs.PORTAL_LOCALES, inputs.CHECKOUT_LOCALES


@pytest.mark.parametrize(
    ("wanted", "in_portal", "in_checkout"),
    [
        ("de", "de", "de"),
        ("pt-BR", "pt-BR", "pt-BR"),
        ("pt_BR", "pt-BR", "pt-BR"),
        ("pt-br", "pt-BR", "pt-BR"),
        ("DE", "de", "de"),
        ("de-AT", "de", "de"),
        ("fr-CA", "fr-CA", "fr-CA"),
        ("fr-BE", "fr", "fr"),
        ("es-419", "es-419", "es-419"),
        ("es-MX", "es", "es"),
        ("en-US", "en", "en"),
        ("en-GB", "en-GB", "en-GB"),
        ("en-AU", "en-AU", "en"),
        ("en-SG", "en-SG", "en"),
        ("hi-IN", "auto", "hi-IN"),
        ("hi", "auto", "auto"),
        ("zh", "zh", "zh"),
        ("zh-CN", "zh", "zh"),
        ("zh-Hans-CN", "zh", "zh"),
        ("zh-TW", "zh-TW", "zh-TW"),
        ("zh-Hant", "zh-TW", "zh-TW"),
        ("zh-Hant-TW", "zh-TW", "zh-TW"),
        ("zh_Hant_TW", "zh-TW", "zh-TW"),
        ("zh-hant-MO", "zh-TW", "zh-TW"),
        ("zh-HK", "zh-HK", "zh-HK"),
        ("zh-Hant-HK", "zh-HK", "zh-HK"),
        ("nb", "nb", "nb"),
        ("nb-NO", "nb", "nb"),
        ("no", "nb", "nb"),
        ("no-NO", "nb", "nb"),
        ("nn", "nb", "nb"),
        ("nn-NO", "nb", "nb"),
        ("NN_no", "nb", "nb"),
        ("non", "auto", "auto"),  # Old Norse is a language of its own
        ("uk", "auto", "auto"),
        ("auto", "auto", "auto"),
        ("klingon", "auto", "auto"),
        ("", "auto", "auto"),
        ("-", "auto", "auto"),
        ("de;q=0.9", "auto", "auto"),
        ("\ud800", "auto", "auto"),
        ("x" * 10_000, "auto", "auto"),
        (7, "auto", "auto"),
        ([], "auto", "auto"),
        ({}, "auto", "auto"),
        (True, "auto", "auto"),
        (None, None, None),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_locale_is_met_exactly_else_by_language_else_automatic(
    wanted: object, in_portal: str | None, in_checkout: str | None
) -> None:
    assert inputs.locale({"locale": wanted}, PORTAL) == in_portal
    assert inputs.locale({"locale": wanted}, CHECKOUT) == in_checkout


def test_no_locale_asked_for_is_none_sent() -> None:
    assert inputs.locale({}, PORTAL) is None


# flow, quantity, plan, price, checkout_session_id


@pytest.mark.parametrize("flow", inputs.FLOWS)
def test_a_flow_of_the_contract_is_taken(flow: str) -> None:
    assert inputs.flow({"flow": flow}) == flow


@pytest.mark.parametrize(
    "flow",
    ["", "subscription_resume", "SUBSCRIPTION_CANCEL", " customer_update", 1, 0, False, [], {}],
)
def test_another_flow_is_refused(flow: object) -> None:
    assert "flow is one of" in refusal(lambda: inputs.flow({"flow": flow}))


@pytest.mark.parametrize(
    ("fields", "quantity"),
    [({}, None), ({"quantity": 1}, 1), ({"quantity": 25}, 25), ({"quantity": 999_999}, 999_999)],
)
def test_a_quantity_is_a_whole_number(fields: dict[str, Any], quantity: int | None) -> None:
    assert inputs.quantity(fields) == quantity


@pytest.mark.parametrize(
    "quantity", [0, -1, 1.0, 1.5, True, False, "1", [], {}, 10**6, 10**9, 10**400, float("nan"),
                 float("inf")],
    ids=lambda value: ascii(value)[:20],
)  # fmt: skip
def test_another_quantity_is_refused(quantity: object) -> None:
    assert "quantity" in refusal(lambda: inputs.quantity({"quantity": quantity}))


@pytest.mark.parametrize("interval", ["month", "year", "week", "day"])
def test_an_interval_is_one_of_stripes(interval: str) -> None:
    assert inputs.interval({"interval": interval}) == interval
    assert inputs.interval({}) is None


@pytest.mark.parametrize(
    "interval",
    ["", "monthly", "Month", "months", "quarter", "3 months", 1, True, [], ["month"], {}],
)
def test_another_interval_is_refused(interval: object) -> None:
    assert "interval is one of month, year" in refusal(
        lambda: inputs.interval({"interval": interval})
    )


@pytest.mark.parametrize(
    ("fields", "plan"), [({}, "basic"), ({"plan": "pro"}, "pro"), ({"plan": "team"}, "team")]
)
def test_a_plan_is_found_by_its_name_the_first_one_by_default(
    fields: dict[str, Any], plan: str
) -> None:
    assert inputs.plan(fields, PLANS).name == plan


@pytest.mark.parametrize(
    "plan", ["free", "PRO", "", "price_pro", 1, [], {}, False, "\ud800", float("nan")], ids=ascii
)
def test_another_plan_is_refused_with_those_that_are(plan: object) -> None:
    assert refusal(lambda: inputs.plan({"plan": plan}, PLANS)) == (
        "plan is one of basic, pro, team"
    )


@pytest.mark.parametrize("price", ["price_basic", "price_pro", "price_pro_year", "price_team"])
def test_a_listed_price_is_taken(price: str) -> None:
    assert inputs.price({"price": price, "quantity": 2}, PLANS) == price


@pytest.mark.parametrize("fields", [{}, {"plan": "pro"}, {"plan": "pro", "interval": "year"}])
def test_no_price_is_none(fields: dict[str, Any]) -> None:
    assert inputs.price(fields, PLANS) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"price": "price_other"},
        {"price": "prod_pro"},
        {"price": "pro"},
        {"price": ["price_pro"]},
        {"price": {"id": "price_pro"}},
        {"price": 0},
        {"price": False},
        {"price": ""},
        {"plan": "pro", "price": "price_pro"},
        {"interval": "year", "price": "price_pro"},
        {"plan": "pro", "interval": "year", "price": "price_pro"},
    ],
    ids=ascii,
)
def test_another_price_or_a_price_beside_a_plan_is_refused(fields: dict[str, Any]) -> None:
    assert "price" in refusal(lambda: inputs.price(fields, PLANS))


@pytest.mark.parametrize("session_id", ["cs_test_a1B2", "cs_live_a1", "cs_1"])
def test_a_checkout_session_is_named_as_the_success_url_has_it(session_id: str) -> None:
    assert inputs.checkout_session_id({"checkout_session_id": session_id}) == session_id


@pytest.mark.parametrize(
    "session_id",
    ["", "cs_", "cs_test_a/../x", "cs_test_a?x=1", "cs_test_a\n", "\ncs_test_a", "cs_tést",
     "sub_1", "CS_test_a", "{CHECKOUT_SESSION_ID}", "cs_test_a b", "cs_" + "a" * 300, 1, True, [],
     {}, ["cs_test_a"], "cs_\ud800", "cs_test_a%00", "cs_test_a\0", "cs_test-a"],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_another_checkout_session_is_refused(session_id: object) -> None:
    refusal(lambda: inputs.checkout_session_id({"checkout_session_id": session_id}))


def test_no_checkout_session_is_none() -> None:
    assert inputs.checkout_session_id({}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@for_all(st.dictionaries(st.sampled_from(["plan", "price", "interval", "quantity", "locale", "flow",
                                          "return_path", "checkout_session_id"]),
                         json_values))  # fmt: skip
def test_no_value_of_a_field_raises_anything_but_our_refusal(fields: dict[str, Any]) -> None:
    sent = {k: v for k, v in json.loads(json.dumps(fields)).items() if v is not None}
    for read in (
        lambda: inputs.price(sent, PLANS),
        lambda: inputs.plan(sent, PLANS),
        lambda: inputs.interval(sent),
        lambda: inputs.quantity(sent),
        lambda: inputs.locale(sent, PORTAL),
        lambda: inputs.flow(sent),
        lambda: inputs.return_url(sent, WEB, APP),
        lambda: inputs.checkout_session_id(sent),
    ):
        try:
            read()
        except ServiceError as refused:
            assert refused.code == "invalid_request"
