"""Session tokens with real keys, by the PEM and by a key set that a real local server gives out."""

import base64
import functools
import hmac
import itertools
import json
import string
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
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from given import ISSUER, settings
from hypothesis import given as for_all
from hypothesis import strategies as st

from portal_service import clerk as clerk_module
from portal_service import deadline
from portal_service.clerk import Clerk, TokenRefused
from portal_service.errors import ServiceError
from sandbox.web import Server

KID = "ins_1"


@functools.cache
def private_key(name: str) -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def pem(name: str = "ours") -> str:
    public = private_key(name).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a session token; None takes one away."""
    now = int(time.time())
    of_a_session = {
        "azp": "https://app.example.com",
        "exp": now + 60,
        "fva": [0, -1],
        "iat": now,
        "iss": ISSUER,
        "jti": "a1",
        "nbf": now - 5,
        "sid": "sess_1",
        "sub": "user_ada",
        "v": 2,
    }
    return {name: value for name, value in (of_a_session | changes).items() if value is not None}


def token(
    *, key: str = "ours", kid: str | None = KID, header: dict[str, Any] | None = None,
    **changes: Any,
) -> str:  # fmt: skip
    headers = ({"kid": kid} if kid else {}) | {"cat": "cl_x"} | (header or {})
    return jwt.encode(claims(**changes), private_key(key), "RS256", headers)


def by_hand(header: dict[str, Any], payload: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""

    def encoded(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(payload).encode())}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def signer(algorithm: str, key: str = "ours") -> Callable[[bytes], bytes]:
    return lambda message: jwt.get_algorithm_by_name(algorithm).sign(message, private_key(key))


def refusal(clerk: Clerk, refused_token: str) -> str:
    with pytest.raises(TokenRefused) as refused:
        clerk.claims(refused_token)
    return str(refused.value)


# With the PEM key: no network at all


@pytest.fixture(scope="module")
def by_pem() -> Clerk:
    return Clerk(settings(clerk_jwt_key=pem(), clerk_jwks_url="http://127.0.0.1:1/unreachable"))


def test_the_claims_of_a_session_token_are_given_back(by_pem: Clerk) -> None:
    assert by_pem.claims(token()) == claims() | {
        name: by_pem.claims(token())[name] for name in ("exp", "iat", "nbf")
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"azp": None},
        {"iat": None},
        {"jti": None},
        {"v": None},
        {"aud": "https://anyone.example"},
        {"sts": "active"},
        {"act": {"sub": "user_admin", "iss": "https://dashboard.clerk.com", "sid": "sess_2"}},
        {"sub": "user_" + "a1B-_" * 20},
        {"org_id": "org_1", "org_role": "org:admin"},
    ],
    ids=str,
)
def test_what_a_session_token_may_have_or_lack(by_pem: Clerk, changes: dict[str, Any]) -> None:
    assert by_pem.claims(token(**changes))["sid"] == "sess_1"


def test_the_key_id_means_nothing_beside_a_pem(by_pem: Clerk) -> None:
    assert by_pem.claims(token(kid=None))
    assert by_pem.claims(token(kid="ins_other"))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iss", "sid", "sub"])
def test_each_required_claim_is_required(by_pem: Clerk, claim: str) -> None:
    assert refusal(by_pem, token(**{claim: None})) == "MissingRequiredClaimError"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://clerk.evil.com"}, "InvalidIssuerError"),
        ({"iss": ISSUER + "/"}, "InvalidIssuerError"),
        ({"sub": "mch_1"}, "the subject is not a user"),
        ({"sub": "user_"}, "the subject is not a user"),
        ({"sub": "user_a b"}, "the subject is not a user"),
        ({"sub": "user_a\n"}, "the subject is not a user"),
        ({"sub": "user_é"}, "the subject is not a user"),
        ({"sub": " user_ada"}, "the subject is not a user"),
        ({"sub": "xuser_ada"}, "the subject is not a user"),
        ({"sub": "user_" + "a" * 500}, "the subject is not a user"),
        ({"sub": ""}, "the subject is not a user"),
        ({"sid": ""}, "session"),
        ({"sid": 1}, "session"),
        ({"sid": ["sess_1"]}, "session"),
        ({"sts": "pending"}, "pending"),
    ],
    ids=str,
)
def test_a_token_that_is_not_a_users_session_is_refused(
    by_pem: Clerk, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(by_pem, token(**changes))


HEADER = {"alg": "RS256", "typ": "JWT", "kid": KID}


def test_a_token_made_by_hand_can_be_good(by_pem: Clerk) -> None:
    assert by_pem.claims(by_hand(HEADER, claims(), signer("RS256")))


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": 1},
        {"sub": ["user_ada"]},
        {"sub": {"id": "user_ada"}},
        {"iss": [ISSUER]},
        {"iss": 1},
        {"jti": 1},
        {"exp": "soon"},
        {"exp": []},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"nbf": {}},
        {"nbf": float("-inf")},
        {"iat": "now"},
    ],
    ids=str,
)
def test_a_claim_of_another_kind_is_refused(by_pem: Clerk, changes: dict[str, Any]) -> None:
    refusal(by_pem, by_hand(HEADER, claims(**changes), signer("RS256")))


@pytest.mark.parametrize("payload", [None, [], "user_ada", 1, [claims()]], ids=itertools.count())
def test_claims_that_are_no_hash_are_refused(by_pem: Clerk, payload: object) -> None:
    refusal(by_pem, by_hand(HEADER, payload, signer("RS256")))


def test_a_token_of_a_template_is_no_session(by_pem: Clerk) -> None:
    """Made for Supabase or Hasura, signed with the same key."""
    refusal(by_pem, token(sid=None, v=None, aud="authenticated", role="authenticated"))


@pytest.mark.parametrize("typ", ["at+jwt", "jwt", "JWS", "", None, 1, ["JWT"]])
def test_another_typ_is_refused(by_pem: Clerk, typ: object) -> None:
    assert refusal(by_pem, token(header={"typ": typ})) == "not an RS256 JWT"


@pytest.mark.parametrize("seconds", [-4, 0, 60])
def test_a_token_that_expired_within_the_leeway_is_accepted(by_pem: Clerk, seconds: int) -> None:
    assert by_pem.claims(token(exp=int(time.time()) + seconds + 1))


@pytest.mark.parametrize("seconds", [-6, -60, -(10**9)])
def test_a_token_that_expired_is_refused(by_pem: Clerk, seconds: int) -> None:
    assert refusal(by_pem, token(exp=int(time.time()) + seconds)) == "ExpiredSignatureError"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("seconds", "accepted"), [(-60, True), (4, True), (8, False),
                                                   (10**6, False)])  # fmt: skip
def test_a_token_counts_from_its_beginning_less_the_leeway(
    by_pem: Clerk, claim: str, seconds: int, accepted: bool
) -> None:
    early = token(**{claim: int(time.time()) + seconds, "exp": int(time.time()) + 10**7})
    if accepted:
        assert by_pem.claims(early)
    else:
        assert refusal(by_pem, early) == "ImmatureSignatureError"


def test_a_token_signed_with_another_key_is_refused(by_pem: Clerk) -> None:
    assert refusal(by_pem, token(key="foreign")) == "InvalidSignatureError"


def test_a_changed_token_is_refused(by_pem: Clerk) -> None:
    header, _, signature = token().split(".")
    payload = token(sub="user_eve").split(".")[1]
    assert refusal(by_pem, f"{header}.{payload}.{signature}") == "InvalidSignatureError"


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda message: b"",
    "None": lambda message: b"",
    "": lambda message: b"",
    "HS256": lambda message: hmac.digest(pem().encode(), message, "sha256"),
    "RS384": signer("RS384"),
    "RS512": signer("RS512"),
    "PS256": signer("PS256"),
    "rs256": signer("RS256"),
    "ES256": lambda message: b"\0" * 64,
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_algorithm_is_refused_whatever_signed_it(by_pem: Clerk, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": KID}
    refusal(by_pem, by_hand(header, claims(), ALGORITHMS[algorithm]))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
def test_the_header_is_no_way_to_bring_ones_own_key(by_pem: Clerk, algorithm: str) -> None:
    own = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(private_key("foreign").public_key()))
    sign = ALGORITHMS.get(algorithm, signer("RS256", "foreign"))
    header = {"alg": algorithm, "typ": "JWT", "kid": KID, "jwk": own, "jku": "https://evil.com/"}
    refusal(by_pem, by_hand(header, claims(), sign))


@pytest.mark.parametrize(
    "garbage",
    ["", " ", ".", "..", "...", "a.b.c", "eyJ.eyJ.x", "null", "{}", "\0", "é.é.é", "Bearer x",
     "sk_live_x", "user_ada", "x" * 20_000, "." * 5000, "e30.e30.", "e30.e30.e30", "W10.W10.W10",
     "bnVsbA.bnVsbA.bnVsbA", "ak_x", "oat_x", "mt_x"],
    ids=lambda garbage: ascii(garbage)[:20],
)  # fmt: skip
def test_garbage_is_refused(by_pem: Clerk, garbage: str) -> None:
    refusal(by_pem, garbage)


@for_all(
    st.text(max_size=60)
    | st.text(alphabet=string.ascii_letters + string.digits + ".-_=", max_size=60)
    | st.builds(
        lambda header, payload: by_hand(header, payload, lambda message: b"x"),
        st.fixed_dictionaries(
            {"alg": st.sampled_from(["RS256", "none", 1, None])},
            optional={"kid": st.text() | st.integers() | st.lists(st.none()), "typ": st.just("JWT"),
                      "crit": st.lists(st.text()), "b64": st.booleans()},
        ),
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    )
)  # fmt: skip
def test_no_token_raises_anything_but_a_refusal(by_pem: Clerk, any_token: str) -> None:
    refusal(by_pem, any_token)


# With a key set


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


def test_the_first_set_is_fetched_once_for_all_who_wait(clerk: Clerk, keys: KeyServer) -> None:
    assert all(isinstance(one, dict) for one in many(lambda: clerk.claims(token())))
    assert keys.count == 1


def test_each_key_of_the_set_counts(clerk: Clerk, keys: KeyServer) -> None:
    keys.give((KID, "ours"), ("ins_2", "second"))
    assert clerk.claims(token())
    assert clerk.claims(token(key="second", kid="ins_2"))
    refusal(clerk, token(key="second", kid=KID))


def test_keys_that_we_cannot_use_are_passed_over(clerk: Clerk, keys: KeyServer) -> None:
    strange = [{"kty": "EC", "crv": "P-000", "kid": "a"}, {"kty": "zzz", "kid": "b"}, {"n": 1}]
    keys.body = json.dumps({"keys": [*strange, *jwks((KID, "ours"))["keys"]]}).encode()
    assert clerk.claims(token())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
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


@pytest.mark.parametrize("how", BREAKDOWNS, ids=lambda how: ascii(how)[:40])
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
    outcomes = many(lambda: [refusal(clerk, flood) for _ in range(5)])
    assert all(isinstance(one, list) for one in outcomes), outcomes
    assert keys.count == 2


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_flood_of_bad_tokens_causes_one_question_from_cold(
    clerk: Clerk, keys: KeyServer, bad: Callable[[], str]
) -> None:
    flood = bad()
    outcomes = many(lambda: [refusal(clerk, flood) for _ in range(5)])
    assert all(isinstance(one, list) for one in outcomes), outcomes
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


def test_with_a_pem_there_is_no_key_set_to_probe(by_pem: Clerk) -> None:
    assert by_pem.key_set is None


def test_a_breakdown_is_logged_without_a_token(clerk: Clerk, keys: KeyServer, log: Log) -> None:
    keys.fail()
    assert is_unavailable(clerk)
    assert log.fields("clerk's key set can't be fetched") == {"reason": "HTTPError"}
    assert "eyJ" not in log.text
