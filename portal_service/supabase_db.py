"""What we hold: every call to Supabase. Knows the tables and functions of supabase/migrations, and
no Stripe, no HTTP.
"""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import httpx
from postgrest import CountMethod
from postgrest.exceptions import APIError
from supabase import Client, ClientOptions, create_client

from portal_service import deadline
from portal_service.config import Settings
from portal_service.entitlement import Account, by_merit, is_ignored_row
from portal_service.sdk_transports import SupabaseClient
from portal_service.subscription import COLUMNS, Row
from portal_service.supabase_errors import CONFLICTS, SCHEMA_CODES, DatabaseError, failed
from portal_service.transport import Transport

ROW_COLUMNS = (*COLUMNS, "clerk_owner_id", "user_id", "revision", "created_at", "updated_at")
_PAGE = 500


class Database:
    """One Supabase admin client, made on first use: after Gunicorn's fork, never before.

    transport: the process' own, else one for this alone.
    retrying: calls what it is given, and again where that can help.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport | None = None,
        retrying: Callable[[Callable[[], Any]], Any] = lambda ask: ask(),
    ) -> None:
        self._settings = settings
        self._retrying = retrying
        self._transport = transport or Transport.for_threads(settings.threads)

    def account(self, clerk_owner_id: str) -> Account:
        """The user, the customers and the rows of one owner, in one call."""
        found = self.call("billing_account", clerk_owner_id=clerk_owner_id)
        settings, rows = self._settings, dict[bool, list[Row]]({False: [], True: []})
        for row in found["subscriptions"]:
            ignored = is_ignored_row(row, settings.plans, settings.ignored_products)
            rows[ignored].append(row)
        return Account(
            clerk_owner_id,
            found["user_id"],
            found["stripe_customer_id"],
            by_merit(rows[False], settings.plans, settings.entitled_statuses),
            tuple(rows[True]),
            frozenset(found["gone_customers"]),
        )

    def link_customer(self, clerk_owner_id: str, customer: str) -> None:
        """Keep whose customer this is. Raises ValueRefused where it is somebody else's."""
        self.call("link_customer", clerk_owner_id=clerk_owner_id, stripe_customer_id=customer)

    def mark_customer(self, customer: str, gone: bool) -> None:
        """Remember that Stripe no longer has a customer under our key, or that it has."""
        self.call("mark_customer", stripe_customer_id=customer, gone=gone)

    def forget_owner(self, clerk_owner_id: str) -> dict[str, int]:
        """Put a word that stands for nobody where an owner's id is, and take the app's user away.

        Returns how many "subscriptions" and "customers" were theirs, and "of_the_other_mode".
        """
        counts: dict[str, int] = self.call("forget_owner", clerk_owner_id=clerk_owner_id)
        return counts

    def gone_customers(self) -> list[str]:
        """Those that Stripe no longer has, of the mode of our key. For commands."""
        query = self._client.table("gone_customers").select("stripe_customer_id")
        rows = self._execute(query.eq("livemode", self._settings.livemode))
        return [row["stripe_customer_id"] for row in rows]

    def upsert(
        self, row: Row, clerk_owner_id: str | None, expected_revision: int | None
    ) -> Row | None:
        """Write what Stripe says; the function of the ordering rule, in its three statements.

        expected_revision: None trusts the row's `as_of`, 0 inserts, above 0 compares and swaps.
        Returns the stored row, or None where that was not decisive or somebody wrote meanwhile.
        """
        try:
            rows = self._call(
                "upsert_subscription",
                subscription=row,
                clerk_owner_id=clerk_owner_id,
                expected_revision=expected_revision,
            )
        except DatabaseError as error:
            if error.database_code in CONFLICTS:
                return None
            raise
        return rows[0] if rows else None

    def row(self, subscription_id: str) -> Row | None:
        rows = self._execute(self._rows().eq("stripe_subscription_id", subscription_id).limit(1))
        return rows[0] if rows else None

    def rows(self, customer: str | None = None) -> Iterator[Row]:
        """The rows of both modes, by subscription id, page by page. For commands."""
        last = ""
        while True:
            query = self._rows().gt("stripe_subscription_id", last).order("stripe_subscription_id")
            if customer:
                query = query.eq("stripe_customer_id", customer)
            page: list[Row] = self._execute(query.limit(_PAGE))
            yield from page
            if not page:
                return
            last = page[-1]["stripe_subscription_id"]

    def rows_by_id(self, subscription_ids: list[str]) -> dict[str, Row]:
        rows = self._execute(self._rows().in_("stripe_subscription_id", subscription_ids))
        return {row["stripe_subscription_id"]: row for row in rows}

    def owner_of_customer(self, customer: str) -> str | None:
        """Clerk's id of whom the customer is linked to."""
        query = self._client.table("billing_customers").select("clerk_owner_id")
        rows = self._execute(query.eq("stripe_customer_id", customer).limit(1))
        return rows[0]["clerk_owner_id"] if rows else None

    def count_of_owners(self, prefix: str) -> int:
        """How many rows that have not ended, in our mode, have an owner whose id begins so."""
        query = self._client.table("subscriptions").select("revision", count=CountMethod.exact)
        query = query.like("clerk_owner_id", f"{prefix}*").is_("ended_at", "null")
        return self._answer(query.eq("livemode", self._settings.livemode).limit(1)).count or 0

    def knows_customer(self, customer: str) -> bool:
        query = self._client.table("subscriptions").select("stripe_customer_id")
        rows = query.eq("stripe_customer_id", customer).limit(1)
        return self.owner_of_customer(customer) is not None or bool(self._execute(rows))

    def refused_write(self) -> str | None:
        """Why a purchase can't be stored, in Postgres' words; None where it can. Stores nothing."""
        reasons = self._call("billing_trial_write")
        return str(reasons[0]) if reasons else None

    def open_doors(self) -> list[str]:
        """What others than the service may do with our tables that the migrations forbid."""
        return [str(door) for door in self._call("billing_open_doors")]

    def missing_schema(self) -> str | None:
        """The first thing that the migrations would have made, by name; None when all is there."""
        try:
            self._execute(self._rows().limit(1))
            self.call("billing_account", clerk_owner_id="")
        except DatabaseError as error:
            if error.database_code in SCHEMA_CODES:
                return _missing_name(error.message)
            raise
        return None

    def call(self, function: str, **arguments: Any) -> Any:
        """What a function of ours says, asked for the mode of our key."""
        return self._call(function, livemode=self._settings.livemode, **arguments)

    def connect(self) -> None:
        """Make the SDK's client now, not with the first question."""
        _ = self._client

    @cached_property
    def _client(self) -> Client:
        """Without retries of its own, since they sleep. Each of our calls may be repeated, as the
        transport wants it: it is a read, a compare-and-swap, or right when it is repeated.
        """
        http = SupabaseClient(self._transport, self._settings.database_timeout)
        options = ClientOptions(
            schema=self._settings.supabase_schema,
            httpx_client=http,
            postgrest_client_retry=False,
            auto_refresh_token=False,
        )
        client = create_client(self._settings.supabase_url, self._settings.supabase_key, options)
        client.postgrest.headers = http.take_over(client.postgrest.headers)
        return client

    def _rows(self) -> Any:
        return self._client.table("subscriptions").select(",".join(ROW_COLUMNS))

    def _call(self, function: str, **arguments: Any) -> Any:
        return self._execute(self._client.rpc(function, arguments))

    def _execute(self, query: Any) -> Any:
        return self._answer(query).data

    def _answer(self, query: Any) -> Any:
        return self._retrying(lambda: self._ask(query))

    def _ask(self, query: Any) -> Any:
        try:
            answer = query.execute()
        except APIError as error:
            raise failed(str(error.code or ""), error.message or "") from error
        except (httpx.HTTPError, deadline.OutOfTime) as error:
            raise failed(type(error).__name__, "no answer") from error
        if not isinstance(answer.data, (list, dict)):  # a proxy's page instead of PostgREST's JSON
            raise failed("garbage", "the answer is not JSON")
        return answer


def _missing_name(message: str) -> str:
    """Which of our own names a complaint of PostgREST's is about; never its text."""
    names = [f"subscriptions.{column}" for column in ROW_COLUMNS]
    names += ["billing_account", "billing_customers", "gone_customers", "subscriptions"]
    return next((name for name in names if re.search(rf"\b{name}\b", message)), "schema")
