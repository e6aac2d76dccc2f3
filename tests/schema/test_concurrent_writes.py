"""Many workers write at once: one of them wins, and none of them waits for another in a circle."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

WORKERS = 16


@pytest.fixture
def at_once(db):
    """at_once(calls): each call on a connection of its own, all let go together."""

    def run(calls: list[tuple[Any, ...]]) -> list[dict[str, Any] | None]:
        barrier = threading.Barrier(len(calls))

        def one(connection: psycopg.Connection, call: tuple[Any, ...]) -> Any:
            barrier.wait()
            return connection.execute(
                "select * from upsert_subscription(%s, %s, %s)", call
            ).fetchone()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, connections, calls))

    connections = [db.connect("service_role") for _ in range(WORKERS)]
    yield run
    for connection in connections:
        connection.close()


def winners(rows):
    return [row for row in rows if row is not None]


def test_of_many_inserts_one_wins(db, subscription, at_once):
    for n in range(5):
        subscription["stripe_subscription_id"] = f"sub_{n}"
        calls = [(Jsonb(subscription | {"quantity": q}), None, 0) for q in range(WORKERS)]
        won = winners(at_once(calls))
        assert won == [db.row(f"sub_{n}")]


def test_of_many_swaps_of_one_revision_one_wins(db, subscription, at_once):
    row = db.write(subscription)
    for _ in range(5):
        calls = [
            (Jsonb(subscription | {"quantity": q}), None, row["revision"]) for q in range(WORKERS)
        ]
        (row,) = winners(at_once(calls))
        assert row == db.row()


def test_of_many_decisive_events_of_one_second_one_wins(db, subscription, at_once):
    db.write(subscription)
    later = subscription | {"as_of": "2026-11-01T12:05:00Z"}
    calls = [(Jsonb(later | {"quantity": q}), None, None) for q in range(WORKERS)]
    assert winners(at_once(calls)) == [db.row()]


def test_unclaimed_rows_of_one_customer_written_at_once_do_not_deadlock(db, subscription, at_once):
    names = [f"sub_{n}" for n in range(WORKERS)]
    for turn in range(15):
        db.service("delete from subscriptions")
        db.service("delete from billing_customers")
        rows = [db.write(subscription | {"stripe_subscription_id": name}) for name in names]
        clerk = f"user_{turn}"
        user = db.user(clerk)
        written = at_once(
            [
                (Jsonb(subscription | {"stripe_subscription_id": name}), clerk, row["revision"])
                for name, row in zip(names, rows, strict=True)
            ]
        )
        assert {row["user_id"] for row in written} == {user}
        assert {db.row(name)["user_id"] for name in names} == {user}


def test_a_new_customer_whose_subscriptions_name_different_buyers_gets_one_owner(
    db, subscription, at_once
):
    users = {f"user_{n}": db.user(f"user_{n}") for n in range(WORKERS)}
    for turn in range(5):
        subscription["stripe_customer_id"] = f"cus_{turn}"
        rows = at_once(
            [
                (
                    Jsonb(subscription | {"stripe_subscription_id": f"sub_{turn}_{n}"}),
                    f"user_{n}",
                    0,
                )
                for n in range(WORKERS)
            ]
        )
        (kept,) = db.service(
            "select clerk_owner_id from billing_customers where stripe_customer_id = %s",
            f"cus_{turn}",
        )
        assert {row["user_id"] for row in rows} == {users[kept["clerk_owner_id"]]}
        db.service("delete from billing_customers")


def test_the_second_of_two_first_writes_waits_for_the_buyer_whom_the_first_one_keeps(
    db, subscription
):
    """Also where the app knows only the second one's: a customer is never given away."""
    db.user("user_bob")
    write = "select * from upsert_subscription(%s, %s, 0)"
    with (
        db.connect("service_role") as first,
        db.connect("service_role") as second,
        ThreadPoolExecutor(1) as pool,
    ):
        with first.transaction():
            first.execute(write, [Jsonb(subscription), "user_ann"])
            bobs = subscription | {"stripe_subscription_id": "sub_2"}
            waiting = pool.submit(second.execute, write, [Jsonb(bobs), "user_bob"])
            blocked = "select cardinality(pg_blocking_pids(%s)) as it"
            while not db.owner(blocked, second.info.backend_pid)[0]["it"]:
                assert not waiting.done()
        assert waiting.result().fetchone()["user_id"] is None
    assert [row["clerk_owner_id"] for row in db.service("select * from billing_customers")] == [
        "user_ann"
    ]


def test_a_claim_does_not_spoil_the_revision_that_another_worker_holds(db, subscription):
    held = db.write(subscription)
    ann = db.user("user_ann")
    db.write(subscription | {"stripe_subscription_id": "sub_2"}, clerk="user_ann")
    assert db.row()["user_id"] == ann
    row = db.write(subscription | {"status": "past_due"}, held["revision"])
    assert (row["user_id"], row["status"]) == (ann, "past_due")


def test_a_row_that_somebody_else_is_writing_is_passed_over_and_claims_itself_later(
    db, subscription
):
    held = db.write(subscription)
    ann = db.user("user_ann")
    with db.connect("service_role") as other, other.transaction():
        other.execute("select from subscriptions for update")
        assert db.write(subscription | {"stripe_subscription_id": "sub_2"}, clerk="user_ann")
    assert db.row()["user_id"] is None
    assert db.write(subscription, held["revision"])["user_id"] == ann
