"""Clerk's stand-in has users who move and leave; its webhooks are as the library wants them."""

import threading
from collections.abc import Iterator

import flask
import pytest
from standardwebhooks import Webhook

from sandbox.clerk_users import ClerkUsers
from sandbox.clerk_webhooks import ClerkWebhooks
from sandbox.faults import Faults
from sandbox.web import Server

SECRET = "whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3Rz"


class Endpoint:
    """Answers what it is told to, and then 200."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, dict[str, str]]] = []
        self.answers: list[int] = []
        self._lock = threading.Lock()

    def receive(self) -> flask.typing.ResponseReturnValue:
        with self._lock:
            self.received.append((flask.request.get_data(), dict(flask.request.headers)))
            status = self.answers.pop(0) if self.answers else 200
        return {"outcome": "scheduled"} if status == 200 else {"code": "not_now"}, status


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def webhooks(endpoint: Endpoint, faults: Faults) -> Iterator[ClerkWebhooks]:
    app = flask.Flask(__name__)
    app.add_url_rule("/hook", view_func=endpoint.receive, methods=["POST"])
    webhooks = ClerkWebhooks(SECRET, faults, delays=(0.0, 0.0))
    with Server(app) as server:
        webhooks.url = f"{server.url}/hook"
        yield webhooks
        webhooks.reset()


@pytest.fixture
def users(webhooks: ClerkWebhooks) -> ClerkUsers:
    return ClerkUsers(webhooks)


def test_an_event_is_signed_so_that_the_library_takes_it(
    users: ClerkUsers, webhooks: ClerkWebhooks, endpoint: Endpoint
) -> None:
    sent = users.change("user_ada", email="ada@new.example")
    assert webhooks.wait_until_delivered()
    ((body, headers),) = endpoint.received
    renamed = {name.lower().replace("svix-", "webhook-"): v for name, v in headers.items()}
    assert Webhook(SECRET).verify(body, renamed) == sent


def test_an_event_has_clerks_shape(users: ClerkUsers) -> None:
    before = users.user("user_ada")
    event = users.change("user_ada", email="ada@new.example", last_name="King")
    names = {"data", "event_attributes", "instance_id", "object", "timestamp", "type"}
    assert set(event) == names
    assert (event["object"], event["type"]) == ("event", "user.updated")
    data = event["data"]
    assert before["updated_at"] < data["updated_at"] <= event["timestamp"]
    (address,) = data["email_addresses"]
    assert data["primary_email_address_id"] == address["id"]
    assert address["verification"]["status"] == "verified"
    assert (data["first_name"], data["last_name"]) == ("Ada", "King")

    deleted = users.delete("user_ada")
    assert deleted["data"] == {"deleted": True, "id": "user_ada", "object": "user"}
    for act in (users.user, users.delete, users.change):
        with pytest.raises(KeyError):
            act("user_ada")


def test_it_comes_again_under_the_same_id_until_it_is_taken(
    users: ClerkUsers, webhooks: ClerkWebhooks, endpoint: Endpoint
) -> None:
    endpoint.answers = [503, 400]
    users.delete("user_ada")
    assert webhooks.wait_until_delivered()
    attempts = webhooks.deliveries()
    assert [each["status_code"] for each in attempts] == [503, 400, 200]
    assert [each["outcome"] for each in attempts] == ["not_now", "not_now", "scheduled"]
    assert [each["attempt"] for each in attempts] == [1, 2, 3]
    assert len({headers["Svix-Id"] for _, headers in endpoint.received}) == 1


def test_it_gives_up_in_the_end(
    users: ClerkUsers, webhooks: ClerkWebhooks, endpoint: Endpoint
) -> None:
    endpoint.answers = [500] * 9
    users.delete("user_ada")
    assert webhooks.wait_until_delivered()
    assert len(endpoint.received) == 3


def test_nobody_there_is_no_answer(users: ClerkUsers, webhooks: ClerkWebhooks) -> None:
    webhooks.url = "http://127.0.0.1:1/hook"
    users.delete("user_ada")
    assert webhooks.wait_until_delivered()
    assert {each["status_code"] for each in webhooks.deliveries()} == {None}
    assert all(each["error"] for each in webhooks.deliveries())


def test_without_an_endpoint_nothing_is_sent(
    users: ClerkUsers, webhooks: ClerkWebhooks, endpoint: Endpoint
) -> None:
    webhooks.url = None
    users.delete("user_ada")
    assert webhooks.deliveries() == []


def test_repeats_are_messages_of_their_own(
    users: ClerkUsers, webhooks: ClerkWebhooks, endpoint: Endpoint, faults: Faults
) -> None:
    faults.webhook_duplicates = 2
    users.delete("user_ada")
    assert webhooks.wait_until_delivered()
    assert len(endpoint.received) == 3
    assert len({body for body, _ in endpoint.received}) == 1


def test_a_reset_forgets_what_waits(
    users: ClerkUsers, webhooks: ClerkWebhooks, endpoint: Endpoint, faults: Faults
) -> None:
    faults.webhook_delay_ms = 60_000
    users.delete("user_ada")
    users.reset()
    assert endpoint.received == []
    assert webhooks.deliveries() == []
    assert users.user("user_ada")["id"] == "user_ada"
