"""A team's own frontend on the sandbox: SANDBOX_APP_URL."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import requests
from started import StartedSandbox, command, wait_for

from sandbox import example

GUEST = "http://localhost:3000"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    data = tmp_path_factory.mktemp("guest")
    told = {"SANDBOX_APP_URL": f"{GUEST}/", "CHECKOUT_CANCEL_PATH": "/pricing"}
    with StartedSandbox(data, **told) as sandbox:
        yield sandbox


def session(sandbox: StartedSandbox, **body: object) -> requests.Response:
    """As the guest's page asks for a token."""
    url = f"{sandbox.url}/_sandbox/session"
    return requests.post(url, json={"user": "ada", **body}, headers={"Origin": GUEST}, timeout=60)


def test_a_guests_page_has_a_token_and_calls_the_service(sandbox: StartedSandbox) -> None:
    answer = session(sandbox)
    assert answer.headers["Access-Control-Allow-Origin"] == GUEST
    token = answer.json()["token"]
    assert jwt.decode(token, options={"verify_signature": False})["azp"] == GUEST

    headers = {"Authorization": f"Bearer {token}", "Origin": GUEST}
    service = f"{sandbox.info['service_url']}/api/stripe"
    checkout = requests.post(f"{service}/checkout", headers=headers, timeout=60)
    assert checkout.status_code == 200, checkout.text
    assert checkout.headers["Access-Control-Allow-Origin"] == GUEST
    page = requests.get(checkout.json()["url"], timeout=60).text
    assert f"{GUEST}/pricing" in page  # where people come back to


def test_the_sandboxs_own_page_works_as_before(sandbox: StartedSandbox) -> None:
    token = sandbox.post("/session", user="ada")["token"]
    headers = {"Authorization": f"Bearer {token}", "Origin": sandbox.url}
    service = f"{sandbox.info['service_url']}/api/stripe"
    assert requests.get(f"{service}/subscription", headers=headers, timeout=60).status_code == 200


def test_its_environment_can_be_asked_for(sandbox: StartedSandbox) -> None:
    text = requests.get(f"{sandbox.url}/_sandbox/env.local", timeout=60).text
    values = dict(line.split("=", 1) for line in text.splitlines() if line[0] != "#")
    assert values["BILLING_URL"] == sandbox.info["service_url"]
    pem = values["CLERK_JWT_KEY"].strip('"').replace("\\n", "\n")
    token = session(sandbox).json()["token"]
    assert jwt.decode(token, pem, algorithms=["RS256"])["sub"] == "user_ada"
    # On the guest's own site, so that browsers send Clerk's cookie.
    sign_in = values["NEXT_PUBLIC_CLERK_SIGN_IN_URL"]
    assert sign_in.startswith("http://localhost:")
    assert "Who are you?" in requests.get(sign_in, timeout=60).text


def test_its_supabase_takes_clerks_tokens(sandbox: StartedSandbox) -> None:
    sandbox.post("/stripe/subscriptions", user="ada", price="price_pro")
    address = f"{sandbox.info['supabase_url']}/rest/v1/subscriptions?select=plan"

    def rows(user: str) -> list[dict[str, str]]:
        token = session(sandbox, user=user, claims={"role": "authenticated"}).json()["token"]
        headers = {"apikey": sandbox.info["supabase_anon_key"], "Authorization": f"Bearer {token}"}
        answer = requests.get(address, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, str]] = answer.json()
        return found

    assert wait_for(lambda: rows("ada")) == [{"plan": "pro"}]
    assert rows("eve") == []


@pytest.mark.parametrize("url", ["localhost:3000", "http://localhost:3000/app", "ftp://x"])
def test_what_is_no_address_stops_the_start(tmp_path: Path, url: str) -> None:
    process = command(tmp_path, SANDBOX_APP_URL=url)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "SANDBOX_APP_URL is an address such as http://localhost:3000" in said
    assert not os.listdir(tmp_path)


def test_an_example_whose_port_is_taken_says_how_to_take_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://localhost:{taken.getsockname()[1]}"
        monkeypatch.setenv("SANDBOX_APP_URL", url)
        assert example.main([]) == 1
    assert "Take another: SANDBOX_APP_URL=http://localhost:3001" in capsys.readouterr().err
