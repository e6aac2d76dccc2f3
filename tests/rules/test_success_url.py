"""The success URL of a checkout, and what Stripe demands of a customer that exists already."""

from typing import Any

import pytest

from portal_service import checkout

ID = "checkout_session_id={CHECKOUT_SESSION_ID}"


@pytest.mark.parametrize(
    ("url", "success"),
    [
        ("https://a.example/welcome", f"https://a.example/welcome?{ID}"),
        ("/welcome", f"/welcome?{ID}"),
        ("/welcome?", f"/welcome?{ID}"),
        ("/welcome?a=1", f"/welcome?a=1&{ID}"),
        ("/welcome?a=1#top", f"/welcome?a=1&{ID}#top"),
        ("/welcome#top?a=1", f"/welcome?{ID}#top?a=1"),
        # Of an earlier checkout: the page would read that one.
        ("/welcome?checkout_session_id=cs_test_old", f"/welcome?{ID}"),
        ("/welcome?checkout_session_id={CHECKOUT_SESSION_ID}", f"/welcome?{ID}"),
        ("/done?a=1&checkout_session_id=cs_old&b=2", f"/done?a=1&b=2&{ID}"),
        ("/done?checkout_session_id=cs_1&checkout_session_id=cs_2", f"/done?{ID}"),
        ("/done?checkout_session_id", f"/done?{ID}"),
        ("/done?checkout%5Fsession%5Fid=cs_old", f"/done?{ID}"),
        ("/done?%63heckout_session_id=cs_old&a=b", f"/done?a=b&{ID}"),
        ("/done?my_checkout_session_id=1", f"/done?my_checkout_session_id=1&{ID}"),
        ("/done?next=checkout_session_id", f"/done?next=checkout_session_id&{ID}"),
        ("/x?a=checkout_session_id=1", f"/x?a=checkout_session_id=1&{ID}"),
        ("/done#checkout_session_id=cs_old", f"/done?{ID}#checkout_session_id=cs_old"),
        ("/#/done?checkout_session_id=cs_old", f"/?{ID}#/done?checkout_session_id=cs_old"),
        ("/done?a=%26b%3Dc", f"/done?a=%26b%3Dc&{ID}"),
    ],
)
def test_the_success_url_has_the_session_id_once(url: str, success: str) -> None:
    assert checkout._with_session_id(url) == success


TAX, TAX_IDS = {"automatic_tax": {"enabled": True}}, {"tax_id_collection": {"enabled": True}}


@pytest.mark.parametrize(
    ("params", "update"),
    [
        (TAX, {"address": "auto"}),
        (TAX_IDS, {"name": "auto", "address": "auto"}),
        (TAX | TAX_IDS, {"name": "auto", "address": "auto"}),
        ({"automatic_tax": {"enabled": False}}, None),
        ({"tax_id_collection": None}, None),
        ({"allow_promotion_codes": True}, None),
        ({"customer_update": {"shipping": "auto"}}, {"shipping": "auto"}),
        (TAX | {"customer_update": {"shipping": "auto"}}, {"shipping": "auto", "address": "auto"}),
        (TAX | {"customer_update": {"address": "never"}}, {"address": "auto"}),
    ],
)
def test_tax_updates_the_customer(params: dict[str, Any], update: Any) -> None:
    assert checkout._customer_update(params) == ({"customer_update": update} if update else {})
