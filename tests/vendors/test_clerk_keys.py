"""Clerk's key set, given out by a real local server: when it is asked for, how long it is kept,
what a breakdown and a flood of bad tokens cost. The one place of cool-down and rotation of keys.
"""

import functools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import jwt
import pytest
from alone import Log
from given import settings
from prometheus_client import REGISTRY
from tokens import ALGORITHMS, KID, by_hand, claims, pem, private_key, refusal, token

from portal_service import clerk as clerk_module
from portal_service import deadline
from portal_service.clerk import Clerk, TokenRefused
from portal_service.errors import ServiceError
from sandbox.web import Server


def jwks(*keys: tuple[str, str]) -> dict[str, Any]:
    """A key set: pairs of a key id and the name of a key."""
    return {
        "keys": [
            json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(private_key(name).public_key()))
            | {"kid": kid, "use": "sig", "alg": "RS256"}
            for kid, name in keys
        ]
    }


class KeyServer:
    """Gives out what it is told to, and counts."""

    def __init__(self) -> None:
        self.body: bytes = json.dumps(jwks((KID, "ours"))).encode()
        self.status = "200 OK"
        self.requests: list[WSGIEnvironment] = []
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        self.requests.append(environ)
        self.asked.set()
        self.may_answer.wait(20)
        headers = [("Content-Type", "application/json"), ("Location", "/elsewhere")]
        start(self.status, headers if self.status.startswith("3") else headers[:1])
        return [self.body]

    def give(self, *keys: tuple[str, str]) -> None:
        self.body, self.status = json.dumps(jwks(*keys)).encode(), "200 OK"

    def fail(self) -> None:
        self.body, self.status = b"oops", "503 Service Unavailable"

    @property
    def count(self) -> int:
        return len(self.requests)


class Clock:
    """The clerk module's own clock, which stands still until a test moves it on."""

    now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(clerk_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture(scope="module")
def shared_server() -> Iterator[tuple[KeyServer, str]]:
    keys = KeyServer()
    with Server(lambda environ, start: keys(environ, start)) as server:
        yield keys, server.url


@pytest.fixture
def keys(shared_server: tuple[KeyServer, str]) -> KeyServer:
    """Clerk's key set, from which nobody has asked yet."""
    keys, _ = shared_server
    keys.__init__()  # type: ignore[misc]
    return keys


@pytest.fixture
def clerk(keys: KeyServer, shared_server: tuple[KeyServer, str], clock: Clock) -> Clerk:
    return Clerk(settings(clerk_jwks_url=shared_server[1] + "/.well-known/jwks.json"))


LIFESPAN, COOLDOWN = clerk_module._LIFESPAN_SECONDS, clerk_module._COOLDOWN_SECONDS


def many(work: Callable[[], object], threads: int = 20) -> list[object]:
    """Do it in many threads at once; what each came to."""
    barrier = threading.Barrier(threads)
    outcomes: list[object] = []

    def one() -> None:
        barrier.wait()
        try:
            outcomes.append(work())
        except Exception as error:
            outcomes.append(error)

    running = [threading.Thread(target=one) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return outcomes


def is_unavailable(clerk: Clerk) -> bool:
    try:
        clerk.claims(token())
    except ServiceError as error:
        assert (error.code, error.status) == ("clerk_unavailable", 503)
        return True
    return False


def test_the_key_set_is_asked_for_once_and_kept(clerk: Clerk, keys: KeyServer) -> None:
    assert keys.count == 0
    for _ in range(5):
        assert clerk.claims(token())["sub"] == "user_ada"
    assert keys.count == 1
    asked = keys.requests[0]
    assert (asked["REQUEST_METHOD"], asked["PATH_INFO"]) == ("GET", "/.well-known/jwks.json")
    assert not asked["HTTP_USER_AGENT"].lower().startswith("python")


def turned_away(clerk: Clerk, bad: str) -> None:
    """Refused, or told to come again while another thread fetches."""
    with pytest.raises((TokenRefused, ServiceError)) as error:
        clerk.claims(bad)
    if isinstance(error.value, ServiceError):
        assert error.value.code == "clerk_unavailable"


@pytest.mark.parametrize("known", [False, True], ids=["no key yet", "another key"])
def test_one_thread_fetches_and_none_waits_for_it(
    clerk: Clerk, keys: KeyServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if known:
        keys.give(("ins_2", "second"))
        clerk.claims(token(key="second", kid="ins_2"))
        keys.give((KID, "ours"), ("ins_2", "second"))
        clock.now += 1
    fetches, may_end = threading.Event(), threading.Event()
    fetch = clerk_module.KeySet._fetch

    def slowly(self: clerk_module.KeySet) -> bool:
        fetches.set()
        assert may_end.wait(60)
        return fetch(self)

    monkeypatch.setattr(clerk_module.KeySet, "_fetch", slowly)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(clerk.claims, token())
        assert fetches.wait(60)
        assert is_unavailable(clerk)
        if known:
            assert clerk.claims(token(key="second", kid="ins_2"))
        may_end.set()
        assert first.result()
    assert clerk.claims(token())
    assert keys.count == 1 + known


def test_each_key_of_the_set_counts(clerk: Clerk, keys: KeyServer) -> None:
    keys.give((KID, "ours"), ("ins_2", "second"))
    assert clerk.claims(token())
    assert clerk.claims(token(key="second", kid="ins_2"))
    refusal(clerk, token(key="second", kid=KID))


def test_keys_that_we_cannot_use_are_passed_over(clerk: Clerk, keys: KeyServer) -> None:
    strange = [{"kty": "EC", "crv": "P-000", "kid": "a"}, {"kty": "zzz", "kid": "b"}, {"n": 1}]
    keys.body = json.dumps({"keys": [*strange, *jwks((KID, "ours"))["keys"]]}).encode()
    assert clerk.claims(token())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "PS256"])
def test_another_algorithm_is_refused_by_a_key_set_too_and_fetches_nothing(
    clerk: Clerk, keys: KeyServer, algorithm: str
) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": KID}
    refusal(clerk, by_hand(header, claims(), ALGORITHMS[algorithm]))
    assert keys.count == 0


def test_a_set_is_renewed_when_it_is_old(clerk: Clerk, keys: KeyServer, clock: Clock) -> None:
    clerk.claims(token())
    clock.now += LIFESPAN - 1
    clerk.claims(token())
    assert keys.count == 1
    clock.now += 2
    clerk.claims(token())
    assert keys.count == 2


def test_while_one_caller_renews_the_others_go_on_with_the_set_that_there_is(
    clerk: Clerk, keys: KeyServer, clock: Clock
) -> None:
    clerk.claims(token())
    clock.now += LIFESPAN + 1
    keys.asked.clear()
    keys.may_answer.clear()
    with ThreadPoolExecutor() as pool:
        renewing = pool.submit(clerk.claims, token())
        assert keys.asked.wait(20)
        assert clerk.claims(token())
        assert not renewing.done()
        keys.may_answer.set()
        assert renewing.result(20)
    assert keys.count == 2


def test_a_key_that_is_gone_from_a_renewed_set_counts_no_more(
    clerk: Clerk, keys: KeyServer, clock: Clock
) -> None:
    clerk.claims(token())
    keys.give(("ins_2", "second"))
    clock.now += LIFESPAN + 1
    assert refusal(clerk, token()) == "unknown key id"


GARBAGE = [b"", b"<html>", b"[]", b"null", b"1", b'"keys"', b"{}", b'{"keys": []}', b"\xff\xfe",
           b'{"keys": null}', b'{"keys": "x"}', b'{"keys": [1]}', b'{"keys": [null]}',
           b'{"keys": [{}]}', b'{"keys": {"kty": "RSA"}}', b'{"keys": [{"kty": "RSA", "n": "!"}]}',
           b'{"keys": [{"kty": "RSA", "kid": "ins_1"}]}', b"[" * 100_000]  # fmt: skip


def break_(keys: KeyServer, how: object) -> None:
    if isinstance(how, bytes):
        keys.body = how
    else:
        keys.body, keys.status = b"{}", str(how)


BREAKDOWNS = ["500 Oops", "503 Oops", "404 Not Found", "403 Forbidden", "429 Too Many",
              "302 Found", "204 No Content", *GARBAGE]  # fmt: skip


@pytest.mark.parametrize("how", BREAKDOWNS, ids=lambda how: ascii(how)[:40])
def test_the_last_good_set_outlives_a_breakdown(
    clerk: Clerk, keys: KeyServer, clock: Clock, log: Log, how: object
) -> None:
    clerk.claims(token())
    break_(keys, how)
    clock.now += LIFESPAN + 1
    for _ in range(3):
        assert clerk.claims(token())
    assert keys.count == 2  # and the cool-down spares who is down
    assert "clerk's key set can't be fetched" in log.messages
    clock.now += 100 * LIFESPAN
    assert clerk.claims(token())


@pytest.mark.parametrize("how", ["503 Oops", b"<html>", b'{"keys": []}'], ids=ascii)
def test_without_any_set_clerk_is_unavailable_until_it_answers(
    clerk: Clerk, keys: KeyServer, clock: Clock, how: object
) -> None:
    break_(keys, how)
    assert is_unavailable(clerk)
    asked = keys.count
    assert is_unavailable(clerk)
    assert keys.count == asked  # at once it is not tried again …
    keys.give((KID, "ours"))
    clock.now += 2
    assert not is_unavailable(clerk)  # … but soon


def test_a_redirect_is_not_followed(clerk: Clerk, keys: KeyServer) -> None:
    break_(keys, "302 Found")
    assert is_unavailable(clerk)
    assert [asked["PATH_INFO"] for asked in keys.requests] == ["/.well-known/jwks.json"]


def test_an_address_where_nobody_answers_is_unavailable(clock: Clock) -> None:
    assert is_unavailable(Clerk(settings(clerk_jwks_url="http://127.0.0.1:1/jwks.json")))


def test_many_callers_wait_for_one_question_also_when_it_fails(
    clerk: Clerk, keys: KeyServer
) -> None:
    keys.fail()
    assert all(many(lambda: is_unavailable(clerk)))
    assert keys.count == 1


def test_no_question_begins_when_the_time_of_the_request_is_spent(
    clerk: Clerk, keys: KeyServer
) -> None:
    deadline.begin(0.01)
    assert is_unavailable(clerk)
    assert keys.count == 0


def test_a_new_key_is_fetched_when_a_token_names_it(
    clerk: Clerk, keys: KeyServer, clock: Clock
) -> None:
    clerk.claims(token())
    keys.give((KID, "ours"), ("ins_2", "second"))
    clock.now += COOLDOWN + 1
    assert clerk.claims(token(key="second", kid="ins_2"))
    assert keys.count == 2


def test_a_key_rotated_under_the_same_id_is_picked_up(
    clerk: Clerk, keys: KeyServer, clock: Clock
) -> None:
    clerk.claims(token())
    keys.give((KID, "second"))
    clock.now += COOLDOWN + 1
    assert clerk.claims(token(key="second"))
    assert clerk.claims(token(key="second"))
    assert keys.count == 2
    assert refusal(clerk, token()) == "InvalidSignatureError"


BAD_TOKENS = {
    "unknown key": functools.partial(token, kid="ins_unknown"),
    "no key id": functools.partial(token, kid=None),
    "bad signature": functools.partial(token, key="foreign"),
}


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS)
@pytest.mark.parametrize("works", [True, False], ids=["up", "down"])
def test_bad_tokens_cause_one_question_per_cool_down(
    clerk: Clerk, keys: KeyServer, clock: Clock, bad: Callable[[], str], works: bool
) -> None:
    clerk.claims(token())
    for turn in (2, 3, 4):
        clock.now += COOLDOWN + 1
        if not works:
            keys.fail()
        for _ in range(5):
            refusal(clerk, bad())
            clock.now += 1
        assert keys.count == turn
        assert clerk.claims(token())


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS)
@pytest.mark.parametrize("works", [True, False], ids=["up", "down"])
def test_a_flood_of_bad_tokens_causes_one_question(
    clerk: Clerk, keys: KeyServer, clock: Clock, bad: Callable[[], str], works: bool
) -> None:
    clerk.claims(token())
    if not works:
        keys.fail()
    clock.now += COOLDOWN + 1
    flood = bad()
    many(lambda: [turned_away(clerk, flood) for _ in range(5)])
    assert keys.count == 2


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_flood_of_bad_tokens_causes_one_question_from_cold(
    clerk: Clerk, keys: KeyServer, bad: Callable[[], str]
) -> None:
    flood = bad()
    many(lambda: [turned_away(clerk, flood) for _ in range(5)])
    assert keys.count == 1


def test_a_flood_from_cold_leaves_good_tokens_alone(clerk: Clerk, keys: KeyServer) -> None:
    refusal(clerk, token(kid="ins_unknown"))
    assert clerk.claims(token())
    assert keys.count == 1


def test_the_probe_asks_every_time_and_says_whether_it_worked(
    clerk: Clerk, keys: KeyServer
) -> None:
    assert clerk.key_set is not None
    assert clerk.key_set.probe()
    keys.fail()
    assert not clerk.key_set.probe()
    assert keys.count == 2
    assert clerk.claims(token())


def test_with_a_pem_there_is_no_key_set_to_probe() -> None:
    assert Clerk(settings(clerk_jwt_key=pem())).key_set is None


def test_a_breakdown_is_logged_without_a_token(clerk: Clerk, keys: KeyServer, log: Log) -> None:
    keys.fail()
    assert is_unavailable(clerk)
    fields = log.fields("clerk's key set can't be fetched")
    assert fields.pop("ms") >= 0
    assert fields == {"reason": "NoKeySet", "call": "GET /.well-known/jwks.json"}
    assert "eyJ" not in log.text


def test_the_age_of_the_keys_is_that_of_the_last_fetch_that_succeeded(
    clerk: Clerk, keys: KeyServer
) -> None:
    def fetched() -> float | None:
        name, labels = "portal_keys_fetched_timestamp_seconds", {"vendor": "clerk"}
        return REGISTRY.get_sample_value(name, labels)

    began = time.time()
    assert clerk.key_set is not None and clerk.key_set.probe()
    last = fetched()
    assert last is not None and last >= began
    keys.fail()
    assert not clerk.key_set.probe()
    assert fetched() == last
