"""Clerk's Frontend API in the sandbox: a browser signs in, has tokens, and signs out. That Clerk's
own clerk-js and middleware get on with it is seen with the Next.js example, in shipped/browser.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests

from sandbox import clerk_frontend
from sandbox.clerk import Clerk
from sandbox.clerk_sessions import ClerkSessions
from sandbox.clerk_users import ClerkUsers
from sandbox.clerk_webhooks import ClerkWebhooks
from sandbox.faults import Faults
from sandbox.web import Server

APP = "http://localhost:3000"


class Browser:
    """Clerk's cookie, and the origin of the app's page."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.clerk = Clerk(self.faults)
        self.users = ClerkUsers(ClerkWebhooks("whsec_c2FuZGJveA==", self.faults))
        self.arrived: list[str] = []
        self.sessions = ClerkSessions(self.clerk, self.users, self.arrived.append)
        self._http = requests.Session()

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Origin": APP}
        url = self.clerk.issuer + path
        return self._http.request(
            method, url, headers=headers, timeout=60, allow_redirects=False, **more
        )

    def sign_in(self, who: str = "user_ada") -> requests.Response:
        return self.call("POST", "/sign-in", data={"who": who, "back": f"{APP}/account?tab=plan"})

    def client(self) -> dict[str, Any]:
        client: dict[str, Any] = self.call("GET", "/v1/client").json()["response"]
        return client

    def session(self, action: str, **form: str) -> requests.Response:
        path = f"/v1/client/sessions/{self.client()['last_active_session_id']}/{action}"
        return self.call("POST", path, data=form)

    def decoded(self, token: str) -> dict[str, Any]:
        """What is in a token that the instance has signed."""
        found: dict[str, Any] = jwt.decode(token, self.clerk.public_key_pem, algorithms=["RS256"])
        return found

    def claims(self) -> dict[str, Any]:
        """Of the token that getToken() gives."""
        return self.decoded(self.session("tokens").json()["jwt"])


@pytest.fixture
def browser() -> Iterator[Browser]:
    browser = Browser()
    app = browser.clerk.app()
    app.register_blueprint(clerk_frontend.blueprint(browser.sessions, browser.faults))
    with Server(app) as server:
        browser.clerk.issuer = server.url
        yield browser


def query(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def test_who_signs_in_comes_back_and_has_tokens_of_one_session(browser: Browser) -> None:
    assert browser.client()["sessions"] == []
    back = browser.sign_in()
    assert back.status_code == 303
    assert back.headers["Location"].startswith(f"{APP}/account?tab=plan&__clerk_db_jwt=dvb_")
    assert browser.arrived == ["user_ada"]

    [session] = browser.client()["sessions"]
    assert session["user"]["first_name"] == "Ada"
    answer = browser.session("tokens")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    claims = browser.decoded(answer.json()["jwt"])
    assert (claims["sub"], claims["sid"], claims["azp"]) == ("user_ada", session["id"], APP)


def test_a_document_is_handed_the_session_as_cookies(browser: Browser) -> None:
    token = query(browser.sign_in().headers["Location"])["__clerk_db_jwt"][0]
    asked = {"redirect_url": f"{APP}/success?checkout_session_id=cs_1", "__clerk_db_jwt": token}
    back = requests.get(
        f"{browser.clerk.issuer}/v1/client/handshake", asked, timeout=60, allow_redirects=False
    )
    assert back.status_code == 307
    said = query(back.headers["Location"])
    assert said["checkout_session_id"] == ["cs_1"]
    directives = browser.decoded(said["__clerk_handshake"][0])["handshake"]
    cookies = dict(each.partition(";")[0].split("=", 1) for each in directives)
    assert browser.decoded(cookies["__session"])["azp"] == APP
    assert cookies["__clerk_db_jwt"] == token
    assert int(cookies["__client_uat"]) > 0
    assert len(cookies) == 6  # each also with the instance's suffix


def test_signing_out_ends_the_session(browser: Browser) -> None:
    browser.sign_in()
    old = browser.client()["last_active_session_id"]
    browser.call("POST", "/v1/client/sessions?_method=DELETE")
    assert browser.client()["sessions"] == []
    refused = browser.call("POST", f"/v1/client/sessions/{old}/tokens")
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["code"] == "authentication_invalid"


def test_an_account_that_is_gone_is_signed_out(browser: Browser) -> None:
    browser.sign_in()
    browser.users.delete("user_ada")
    assert browser.client()["sessions"] == []
    assert browser.sign_in().status_code == 404


def test_after_a_reset_nobody_is_signed_in(browser: Browser) -> None:
    browser.sign_in()
    browser.sessions.reset()
    assert browser.client()["sessions"] == []


def test_an_organization_is_active_from_the_start_or_later(browser: Browser) -> None:
    browser.sign_in("user_ada org_acme")
    assert browser.claims()["o"]["rol"] == "admin"
    browser.session("touch", active_organization_id="org_globex")
    assert browser.claims()["o"]["id"] == "org_globex"
    browser.session("touch", active_organization_id="")
    assert "o" not in browser.claims()
    assert browser.session("touch", active_organization_id="org_other").status_code == 404


def test_a_token_of_a_template_has_no_session(browser: Browser) -> None:
    browser.sign_in()
    token = browser.session("tokens/supabase").json()["jwt"]
    assert not {"sid", "sts", "v"} & set(browser.decoded(token))
    assert jwt.get_unverified_header(token)["cat"] == "cl_B7d4PD222AAA"


@pytest.mark.parametrize("back", ["", "/account", "javascript:alert(1)", "//evil.example"])
def test_it_leads_back_to_an_address_alone(browser: Browser, back: str) -> None:
    pressed = browser.call("POST", "/sign-in", data={"who": "user_ada", "back": back})
    assert pressed.status_code == 400
    asked = browser.call("GET", "/v1/client/handshake", params={"redirect_url": back})
    assert asked.status_code == 400


def test_the_page_offers_everybody_in_each_organization(browser: Browser) -> None:
    page = browser.call("GET", "/sign-in").text
    for who in ("user_ada", "user_ada org_acme", "user_margaret"):
        assert f'value="{who}"' in page


def test_clerk_can_be_down(browser: Browser) -> None:
    browser.faults.clerk = "down"
    assert browser.call("GET", "/v1/client").status_code == 503
