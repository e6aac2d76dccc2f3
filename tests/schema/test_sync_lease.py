"""The lease of `sync`: of many who want it at once one gets it, by the database's clock; what a run
found is kept by whoever has it alone.
"""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

FOUND = '{"scope": "all", "outcome": "%s", "differing_rows": %d, "unclaimed_subscriptions": 1}'


def hold(db, holder, seconds=60, livemode=False):
    query = "select billing_hold_sync(%s, %s, %s) as it"
    return db.service(query, livemode, holder, seconds)[0]["it"]


def end(db, holder, found=None, livemode=False):
    db.service("select billing_end_sync(%s, %s, %s::jsonb)", livemode, holder, found)


def found(db, livemode=False):
    return db.service("select billing_syncs(%s) as it", livemode)[0]["it"]


def test_one_has_it_until_it_is_given_back(db):
    assert hold(db, "a")["is_ours"]
    assert not hold(db, "b")["is_ours"]
    end(db, "b")  # it is not theirs to give
    assert not hold(db, "b")["is_ours"]
    end(db, "a")
    assert hold(db, "b")["is_ours"]


def test_each_mode_has_its_own(db):
    assert hold(db, "a")["is_ours"]
    assert hold(db, "b", livemode=True)["is_ours"]


def test_holding_on_to_it_moves_its_end_alone(db):
    first, later = hold(db, "a", 60), hold(db, "a", 120)
    assert later["is_ours"] and later["begun_at"] == first["begun_at"]
    assert later["ends_at"] > first["ends_at"]


def test_it_ends_by_itself(db):
    hold(db, "a", 0)
    taken = hold(db, "b")
    assert taken["is_ours"]
    told = hold(db, "a")
    assert not told["is_ours"] and told["begun_at"] == taken["begun_at"]


def test_of_many_at_once_one_gets_it(db, installed):
    def take(holder):
        with psycopg.connect(installed.url, autocommit=True) as connection:
            connection.execute("set role service_role")
            query = "select billing_hold_sync(false, %s, 60)"
            return connection.execute(query, [holder]).fetchone()[0]["is_ours"]

    hold(db, "dead", 0)
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, map(str, range(8)))) == [False] * 7 + [True]


def test_what_the_last_run_found_is_kept(db):
    assert found(db) == []
    for holder, outcome, rows in (("a", "done", 3), ("b", "failed", 5)):
        hold(db, holder)
        end(db, holder, FOUND % (outcome, rows))
    (run,) = found(db)
    assert (run["scope"], run["differing_rows"], run["unclaimed_subscriptions"]) == ("all", 5, 1)
    assert run["done_at"] < run["failed_at"]
    assert found(db, livemode=True) == []


@pytest.mark.parametrize("again", [1, 2])
def test_a_run_that_has_lost_it_keeps_nothing(db, again):
    hold(db, "a", 0)
    hold(db, "b")
    for _ in range(again):
        end(db, "a", FOUND % ("done", 3))
    assert found(db) == []
    assert not hold(db, "c")["is_ours"]
