"""Tokens that were verified once: how often, until when, and what is kept of them. That another key
ends it is in test_clerk_keys.py too; origins, asked about each time, in contract/test_caller.py.
"""

import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from given import settings
from tokens import pem, refusal, token

from portal_service import clerk as clerk_module
from portal_service import known_tokens
from portal_service.clerk import Clerk, TokenRefused
from portal_service.known_tokens import Known, KnownTokens


@pytest.fixture
def clerk() -> Clerk:
    return Clerk(settings(clerk_jwt_key=pem()))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each token that was verified in full."""
    seen: list[str] = []

    def decode(token: str, *args: Any, **more: Any) -> Any:
        seen.append(token)
        return jwt.decode(token, *args, **more)

    monkeypatch.setattr(clerk_module, "jwt", SimpleNamespace(**(vars(jwt) | {"decode": decode})))
    return seen


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the memory's own clock stand there."""
    monkeypatch.setattr(known_tokens, "time", SimpleNamespace(time=lambda: seconds))


def test_a_token_is_verified_once(clerk: Clerk, verified: list[str]) -> None:
    mine, anothers = token(), token(sub="user_bob")
    assert [clerk.claims(one)["sub"] for one in (mine, anothers, mine, anothers)] == [
        "user_ada", "user_bob", "user_ada", "user_bob",
    ]  # fmt: skip
    assert verified == [mine, anothers]


def test_it_is_verified_again_once_it_has_ended(
    clerk: Clerk, verified: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = int(time.time()) + 60
    short = token(exp=ends)
    clerk.claims(short)
    at(monkeypatch, ends - 0.01)
    clerk.claims(short)
    assert len(verified) == 1
    at(monkeypatch, ends)
    clerk.claims(short)
    assert len(verified) == 2


def test_within_the_leeway_it_is_good_and_not_remembered(clerk: Clerk, verified: list[str]) -> None:
    late = token(exp=int(time.time()) - 2)
    assert clerk.claims(late) == clerk.claims(late)
    assert verified == [late, late]


@pytest.mark.parametrize("changes", [{"sts": "pending"}, {"sub": "org_x"}, {"sid": ""}])
def test_what_is_refused_is_refused_again(clerk: Clerk, changes: dict[str, Any]) -> None:
    refused = token(**changes)
    assert refusal(clerk, refused) == refusal(clerk, refused)


def test_a_token_that_differs_in_a_letter_is_another(clerk: Clerk) -> None:
    good = token()
    clerk.claims(good)
    for at_ in (0, len(good) // 2, -1):
        bad = list(good)
        bad[at_] = "A" if bad[at_] != "A" else "B"
        try:
            claims = clerk.claims("".join(bad))
        except TokenRefused:
            continue
        assert at_ == -1 and claims == clerk.claims(good)  # bits that the last letter does not use


def test_another_key_ends_it(clerk: Clerk) -> None:
    good = token()
    clerk.claims(good)
    clerk._pem_key = Clerk(settings(clerk_jwt_key=pem("second")))._pem_key
    assert refusal(clerk, good) == "InvalidSignatureError"


def known(until: int = 2**40) -> Known:
    return Known({"sub": "user_ada"}, "ins_1", object(), until)


def test_the_oldest_go_where_there_are_too_many() -> None:
    tokens = KnownTokens(most=2)
    for name in ("a", "b", "c"):
        tokens.keep(name, known())
    assert [tokens.get(name) is not None for name in ("a", "b", "c")] == [False, True, True]


def test_only_the_hash_of_a_token_is_kept() -> None:
    tokens, secret = KnownTokens(), token()
    tokens.keep(secret, known())
    assert [len(name) for name in tokens._known] == [32]
    assert not any(part in repr(vars(tokens)) for part in secret.split("."))


def test_a_token_that_is_no_text_is_unknown() -> None:
    assert KnownTokens().get("\ud800") is None
