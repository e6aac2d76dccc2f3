"""How checkout keeps one session open, as a model of our own, explored exhaustively: whatever comes
between the steps of two or three requests, nobody pays twice and at the end one session is open;
and with any one part left out there is an end where it is not. portal_service/open_session.py says
what each part is for.

A request takes steps that all others, payments and foreign sessions can come between:

    list (sessions) -> ask (for subscriptions) -> decide -> expire, one by one -> send (the key)
    -> land (at Stripe) -> told (a URL), or list again

Whoever was told a URL may pay it at any moment while the session is open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pytest


@dataclass(frozen=True)
class Rule:
    key_names_the_wish: bool = False
    key_counts_foreign_sessions: bool = False
    expires_others: bool = True
    asks_for_sessions_first: bool = True
    losers_list_again: bool = True
    leaves_a_dead_key: bool = True
    looks_again_after_another_key: bool = True


class Session(NamedTuple):
    wish: str  # "foreign": none of ours
    status: str = "open"


class Request(NamedTuple):
    wish: str
    step: str = "first"
    seen: tuple[Session, ...] = ()
    saw_running: bool = False
    key: tuple = ()  # the one that was sent last
    is_taken: bool = False  # by another wish, as long as this slot is the last one
    is_dead: bool = False
    is_shared: bool = False
    session: int = -1  # that was made or given back


class State(NamedTuple):
    requests: tuple[Request, ...]
    sessions: tuple[Session, ...] = ()
    keys: tuple[tuple[tuple, str, int], ...] = ()  # key, wish, session: -1 under way, -2 an error
    faults_left: int = 0
    foreign_left: int = 0
    slow_left: int = 0  # creations that take longer than others wait for them
    handed_out: frozenset[int] = frozenset()


OVER = ("told", "refused", "unavailable")


def next_states(rule: Rule, now: State) -> Iterator[State]:
    for n in now.handed_out:
        if now.sessions[n].status == "open":
            yield set_status(now, n, "paid")
    if now.foreign_left:
        more = (*now.sessions, Session("foreign"))
        yield now._replace(sessions=more, foreign_left=now.foreign_left - 1)
    for place, request in enumerate(now.requests):
        if request.step not in OVER:
            for state, after in advance(rule, now, request, place):
                requests = [*state.requests]
                requests[place] = after
                known = {after.session} if after.step == "told" else set()
                yield state._replace(requests=tuple(requests), handed_out=state.handed_out | known)


def set_status(now: State, n: int, status: str) -> State:
    sessions = [*now.sessions]
    sessions[n] = sessions[n]._replace(status=status)
    return now._replace(sessions=tuple(sessions))


def advance(
    rule: Rule, now: State, request: Request, place: int
) -> Iterator[tuple[State, Request]]:
    is_running = any(session.status == "paid" for session in now.sessions)
    match request.step:
        case "first" | "second":
            last = request.step == "second"
            if (request.step == "first") == rule.asks_for_sessions_first:
                after = request._replace(seen=now.sessions)
            else:
                after = request._replace(saw_running=is_running)
            yield now, after._replace(step="decide" if last else "second")
            if request.is_taken and not last:
                yield from later(rule, now, request, after._replace(step="second"))
        case "decide":
            yield from decide(rule, now, request)
        case "send":
            yield from send(rule, now, request, place)
        case "land":
            if now.faults_left:
                kept = saved(now, request, -2)._replace(faults_left=now.faults_left - 1)
                yield kept, request._replace(step="unavailable")
            made = len(now.sessions)
            more = now._replace(sessions=(*now.sessions, Session(request.wish)))
            yield saved(more, request, made), request._replace(step="answered", session=made)
        case "answered":
            again = request.is_shared and rule.looks_again_after_another_key
            yield now, request._replace(step="first" if again else "told")


def later(
    rule: Rule, now: State, request: Request, after: Request
) -> Iterator[tuple[State, Request]]:
    """So much time has passed since the key was refused that whoever still has it is slow."""
    slow = [r.step == "land" and r.key == request.key for r in now.requests]
    if any(slow):
        if not now.slow_left:
            return
        both = zip(now.requests, slow, strict=True)
        requests = tuple(r._replace(is_shared=r.is_shared or is_slow) for r, is_slow in both)
        now = now._replace(requests=requests, slow_left=now.slow_left - 1)
    yield now, after._replace(is_dead=rule.leaves_a_dead_key)


def decide(rule: Rule, now: State, request: Request) -> Iterator[tuple[State, Request]]:
    """One expiry, or what comes after the last."""
    seen = [n for n, s in enumerate(request.seen) if s.wish != "foreign" and s.status == "open"]
    done = request._replace(seen=(), saw_running=False)
    looks_again = request.is_shared and request.session >= 0
    newest_first = seen[::-1]
    same = next((n for n in newest_first if request.seen[n].wish == request.wish), None)
    others = [n for n in seen if n != same and rule.expires_others]
    refused = request.saw_running or (others and now.sessions[others[0]].status == "paid")
    if refused or (looks_again and newest_first[:1] != [request.session]):
        mine = request.session
        if looks_again and now.sessions[mine].status == "open":  # nobody has seen it
            now = set_status(now, mine, "expired")
        yield now, done._replace(step="refused" if refused else "unavailable")
        return
    if others:
        known = [*request.seen]
        known[others[0]] = known[others[0]]._replace(status="expired")
        yield set_status(now, others[0], "expired"), request._replace(seen=tuple(known))
        return
    if same is not None:
        yield now, done._replace(step="told", session=same)
        return
    counted = tuple(
        n for n, s in enumerate(request.seen)
        if s.wish != "foreign" or rule.key_counts_foreign_sessions
    )  # fmt: skip
    key = (counted, request.wish if rule.key_names_the_wish else "")
    if request.key[:2] != key:
        done = done._replace(key=key, is_taken=False, is_dead=False)
    yield now, done._replace(step="send")


def send(rule: Rule, now: State, request: Request, place: int) -> Iterator[tuple[State, Request]]:
    if request.is_dead:
        unique = request._replace(key=(*request.key[:2], place, len(now.keys)))
        request = unique._replace(is_shared=True)
    wish, session = next(((w, s) for k, w, s in now.keys if k == request.key), (None, -3))
    again = request._replace(step="first" if rule.losers_list_again else "unavailable")
    if wish is None:
        yield saved(now, request, -1), request._replace(step="land")
    elif wish != request.wish:
        yield now, again._replace(is_taken=True)
    else:
        yield now, again._replace(is_dead=session == -2 and rule.leaves_a_dead_key)


def saved(now: State, request: Request, session: int) -> State:
    others = [entry for entry in now.keys if entry[0] != request.key]
    return now._replace(keys=tuple(sorted([*others, (request.key, request.wish, session)])))


def reached(rule: Rule, start: State) -> Iterator[State]:
    todo, seen = [start], {start}
    while todo:
        now = todo.pop()
        yield now
        for state in next_states(rule, now):
            if state not in seen:
                seen.add(state)
                todo.append(state)


def what_is_wrong(rule: Rule, start: State) -> str | None:
    for now in reached(rule, start):
        ours = [session for session in now.sessions if session.wish != "foreign"]
        paid, still_open = ([s for s in ours if s.status == status] for status in ("paid", "open"))
        if len(paid) > 1:
            return f"paid twice: {now}"
        if all(request.step in OVER for request in now.requests):
            steps = {request.step for request in now.requests}
            if "unavailable" in steps and not (start.faults_left or start.slow_left):
                return f"turned away: {now}"
            fewest = 0 if paid or "unavailable" in steps else 1
            if not fewest <= len(still_open) <= (0 if paid else 1):
                return f"{len(still_open)} open: {now}"
    return None


def is_locked_out(rule: Rule, start: State) -> bool:
    """Whether there is an end after which one more click, with all well again, never gets a URL."""
    ends = {
        (now.sessions, now.keys)
        for now in reached(rule, start)
        if all(r.step in OVER for r in now.requests)
        and all(session.status != "paid" for session in now.sessions)
    }
    wishes = {request.wish for request in start.requests}
    return not all(
        any(
            now.requests[0].step == "told"
            for now in reached(rule, State((Request(wish),), sessions, keys))
        )
        for sessions, keys in ends
        for wish in wishes
    )


def clicks(*wishes: str, **more: int) -> State:
    return State(tuple(map(Request, wishes)), **more)


def before(start: State, wish: str) -> State:
    """An open session from an earlier click, whose page somebody looks at."""
    return start._replace(sessions=(Session(wish),), handed_out=frozenset({0}))


WORLDS = {
    "two wishes": clicks("pro", "team"),
    "two wishes, a page is open": before(clicks("pro", "team"), "pro"),
    "the same twice": clicks("pro", "pro"),
    "three wishes": clicks("pro", "team", "team, two seats"),
    "three clicks, two wishes": clicks("pro", "pro", "team"),
    "a foreign session": clicks("pro", "team", foreign_left=1),
    "a slow one": clicks("pro", "team", slow_left=1),
    "a fault": clicks("pro", "team", faults_left=1),
    "two faults": clicks("pro", "team", faults_left=2),
    "a fault and a slow one": clicks("pro", "team", faults_left=1, slow_left=1),
}

LEFT_OUT = {
    "key_names_the_wish": (Rule(key_names_the_wish=True), "two wishes"),
    "key_counts_foreign_sessions": (Rule(key_counts_foreign_sessions=True), "a foreign session"),
    "expires_others": (Rule(expires_others=False), "two wishes, a page is open"),
    "asks_for_sessions_first": (Rule(asks_for_sessions_first=False), "two wishes, a page is open"),
    "losers_list_again": (Rule(losers_list_again=False), "two wishes"),
    "looks_again_after_another_key": (Rule(looks_again_after_another_key=False), "a slow one"),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_nobody_pays_twice_and_one_session_is_open_at_the_end(world: State) -> None:
    assert what_is_wrong(Rule(), world) is None


@pytest.mark.parametrize(("rule", "world"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_each_part_left_out_goes_wrong(rule: Rule, world: str) -> None:
    assert what_is_wrong(rule, WORLDS[world])


@pytest.mark.parametrize("world", ["two wishes", "a foreign session", "a fault", "two faults"])
def test_one_more_click_gets_a_page_whatever_went_before(world: str) -> None:
    assert not is_locked_out(Rule(), WORLDS[world])


def test_with_the_dead_key_kept_it_does_not() -> None:
    assert is_locked_out(Rule(leaves_a_dead_key=False), WORLDS["a fault"])
