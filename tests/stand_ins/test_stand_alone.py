"""Each stand-in as a command of its own: a process, an address, and the vendor's own client."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import flask
import httpx
import jwt
import psycopg
import pytest
import requests
import stripe
from supabase import ClientOptions, PostgrestAPIError, create_client

from sandbox.postgres import Postgres
from sandbox.stripe.__main__ import main as stripe_main
from sandbox.web import Server

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0  # for an answer, and for the life of a process

Process = subprocess.Popen[str]


class StandIn:
    """A started one. `said` is all that it printed before it was ready."""

    def __init__(self, process: Process, last_line: str) -> None:
        self.process = process
        self.said = ""
        assert process.stdout is not None
        for line in process.stdout:
            self.said += line
            if last_line in line:
                break
        found = re.match(r".* stand-in is at (http://127\.0\.0\.1:\d+) \(Ctrl-C", self.said)
        assert found, self.said
        self.url = found[1]

    def control(self, path: str, **fields: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox{path}", json=fields, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def printed(self, label: str) -> str:
        found = re.search(rf"^  {label} +(\S+)$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]


@contextmanager
def command(module: str, *arguments: str) -> Iterator[Process]:
    """A command that does not outlive the block, nor hold up the tests for ever."""
    with subprocess.Popen(
        [sys.executable, "-m", f"sandbox.{module}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watch = threading.Timer(SECONDS, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


LAST_LINES = {"stripe": "/_sandbox/reset", "supabase": "/_sandbox/faults", "clerk": '"role"'}


@pytest.fixture
def start() -> Iterator[Callable[..., StandIn]]:
    """Start a stand-in on a free port. Each has to end quietly on Ctrl-C."""
    with ExitStack() as running:

        def started(module: str, *arguments: str) -> StandIn:
            process = running.enter_context(command(module, "--port", "0", *arguments))
            running.callback(_interrupt, process)
            return StandIn(process, LAST_LINES[module])

        yield started


def _interrupt(process: Process) -> None:
    process.send_signal(signal.SIGINT)
    left, _ = process.communicate()
    assert (process.returncode, left) == (0, "")


def refusal(module: str, *arguments: str) -> str:
    """What a command says that ends at once."""
    with command(module, *arguments) as process:
        said, _ = process.communicate()
    assert process.returncode in (1, 2)
    assert "Traceback" not in said
    return said


def stripe_client(stand_in: StandIn, key: str) -> stripe.StripeClient:
    addresses = {"api": stand_in.url}
    return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=0)


class Endpoint:
    """A webhook endpoint, and what came to it."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, str]] = []
        self.app = flask.Flask(__name__)
        self.app.add_url_rule("/hook", view_func=self._receive, methods=["POST"])

    def _receive(self) -> dict[str, str]:
        header = flask.request.headers["Stripe-Signature"]
        self.received.append((flask.request.get_data(), header))
        return {}


CATALOGUE = {
    "products": [{"id": "prod_gold", "name": "Gold"}],
    "prices": [
        {
            "id": "price_gold",
            "product": "prod_gold",
            "unit_amount": 4200,
            "currency": "eur",
            "recurring": {"interval": "year"},
        }
    ],
}


def test_stripe_sells_a_subscription_from_a_catalogue_and_says_so(start, tmp_path):
    endpoint, catalogue = Endpoint(), tmp_path / "plans.json"
    catalogue.write_text(json.dumps(CATALOGUE))
    with Server(endpoint.app) as server:
        stand_in = start(
            "stripe",
            *("--api-key", "sk_test_ours", "--catalogue", str(catalogue)),
            *("--webhooks", f"{server.url}/hook", "--webhook-secret", "whsec_ours"),
        )
        client = stripe_client(stand_in, "sk_test_ours")
        customer = client.v1.customers.create({"email": "ada@example.com"})
        session = client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer.id,
                "line_items": [{"price": "price_gold", "quantity": 1}],
                "success_url": "http://localhost:3000/done",
            }
        )
        page = requests.get(session.url, timeout=SECONDS)
        assert page.status_code == 200 and "42.00 EUR" in page.text
        paid = stand_in.control(f"/stripe/checkout/{session.id}", action="pay")

    assert client.v1.subscriptions.retrieve(paid["subscription"]).status == "active"
    events = [
        client.construct_event(body, header, "whsec_ours") for body, header in endpoint.received
    ]
    (completed,) = [event for event in events if event.type == "checkout.session.completed"]
    assert completed.data.object.subscription == paid["subscription"]


def test_stripe_as_it_is_without_options(start):
    stand_in = start("stripe")
    client = stripe_client(stand_in, stand_in.printed("API keys"))
    customer = client.v1.customers.create({})

    made = stand_in.control("/stripe/subscriptions", customer=customer.id, price="price_team")
    stand_in.control(f"/stripe/subscriptions/{made['id']}", action="fail_payment")

    assert client.v1.subscriptions.retrieve(made["id"]).status == "past_due"
    recorded = requests.get(f"{stand_in.url}/_sandbox/deliveries", timeout=SECONDS).json()
    assert {each["error"] for each in recorded} == {"there is no webhook endpoint yet"}
    with pytest.raises(stripe.AuthenticationError):
        stripe_client(stand_in, "sk_test_other").v1.prices.list()
    stand_in.control("/faults", stripe="rate_limited")
    with pytest.raises(stripe.RateLimitError):
        client.v1.prices.list()
    stand_in.control("/reset")
    assert client.v1.subscriptions.list().data == []


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    url = postgres.create_database("stand_alone")
    with psycopg.connect(url) as connection:
        connection.execute("""
            create table notes (id int primary key, text text);
            insert into notes values (1, 'one'), (2, 'two');
            grant select on notes to service_role;
            create function twice(n int) returns int language sql as $$ select 2 * n $$;
            grant execute on function twice to anon;
        """)
    return url


def test_supabase_serves_a_database_that_exists(start, database):
    stand_in = start("supabase", "--database-url", database)
    with httpx.Client() as http:
        options = ClientOptions(httpx_client=http, postgrest_client_retry=False)
        server = create_client(stand_in.url, stand_in.printed("service_role key"), options)
        browser = create_client(stand_in.url, stand_in.printed("anon key"), options)

        found = server.table("notes").select("text").eq("id", 2).execute().data
        assert found == [{"text": "two"}]
        assert browser.rpc("twice", {"n": 4}).execute().data == 8
        with pytest.raises(PostgrestAPIError) as forbidden:
            browser.table("notes").select("*").execute()
        stand_in.control("/faults", database="down")
        with pytest.raises(PostgrestAPIError) as down:
            server.table("notes").select("*").execute()
    assert (forbidden.value.code, down.value.code) == ("42501", "PGRST000")


def test_supabase_wants_a_database_that_it_can_use(database):
    said = refusal("supabase", "--database-url", "postgresql://ada:hidden@127.0.0.1:1/app")
    assert said.startswith("The database can't be used:")
    assert "hidden" not in said
    said = refusal("supabase", "--database-url", "host:5432/hidden")
    assert "postgresql://user:password@host:5432/database" in said
    assert "hidden" not in said


def test_supabase_says_which_roles_a_database_lacks(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create role stranger login password 'stranger'")
        try:
            parts = psycopg.conninfo.conninfo_to_dict(database)
            place = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
            url = f"postgresql://stranger:stranger@{place}"
            said = refusal("supabase", "--database-url", url)
        finally:
            connection.execute("drop role stranger")
    assert "no role anon, authenticated, service_role that its user may take" in said
    assert "grant anon, authenticated, service_role to stranger;" in said


def test_clerk_signs_tokens_that_its_key_set_verifies(start):
    stand_in = start("clerk")
    token = stand_in.control("/session", clerk_id="user_ada", claims={"azp": "http://app.test"})

    keys = jwt.PyJWKClient(stand_in.printed("Key set"))
    key = keys.get_signing_key_from_jwt(token["token"])
    claims = jwt.decode(
        token["token"], key, algorithms=["RS256"], issuer=stand_in.printed("Issuer")
    )
    assert (claims["sub"], claims["azp"]) == ("user_ada", "http://app.test")


def test_clerk_signs_for_a_member_of_an_organization(start):
    stand_in = start("clerk")
    stand_in.control("/organizations", organization="org_1", clerk_id="user_eve", role="member")
    token = stand_in.control("/session", clerk_id="user_eve", organization="org_1")["token"]
    assert jwt.decode(token, options={"verify_signature": False})["o"]["id"] == "org_1"


def test_clerk_answers_for_another_issuer(start):
    stand_in = start("clerk", "--issuer", "https://clerk.example.com/")
    token = stand_in.control("/session", clerk_id="user_ada")["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iss"] == stand_in.printed("Issuer") == "https://clerk.example.com"


@pytest.mark.parametrize("module", ["stripe", "supabase", "clerk"])
def test_a_port_that_is_taken(module, database):
    more = ["--database-url", database] if module == "supabase" else []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refusal(module, "--port", port, *more)
    assert said == (
        f"Port {port} is not free (Address already in use). Take another: --port 0 finds one.\n"
    )


def test_a_host_that_is_another_machines():
    said = refusal("clerk", "--host", "192.0.2.1", "--port", "0")
    assert said.startswith("192.0.2.1 is no address of this machine")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "'70000' is not a number from 0 to 65535"),
        (["--webhooks", "localhost:8000"], "is no address such as http://localhost:8000/"),
        (["--catalogue", "nowhere.json"], "nowhere.json can't be used"),
    ],
)
def test_options_that_make_no_sense(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        stripe_main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
