"""Many users in many organizations, who switch between them, change roles, buy, pay for each
other's sessions, come back with anybody's, while webhooks come in any order: nobody ever sees, pays
or manages another organization's, and at the end each sees its own. Each purchase has a quantity of
its own, so that one that is shown tells whose it is.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from member import Member
from service_under_test import Json, MakeService, Service, linked, session_of

from sandbox.world import World, clerk_id

USERS = ("ada", "grace", "linus", "eve")
ORGANIZATIONS = ("org_acme", "org_globex", "org_initech")
ROLES = ("admin", "billing", "member")
MAY_SPEND = {"admin", "billing"}

users, anything = st.sampled_from(USERS), st.integers(0, 30)
organizations = st.sampled_from(ORGANIZATIONS)
STEP = {  # what happens, and how often beside the others
    ("buy", users): 4,
    ("check_out", users): 2,
    ("pay", anything): 2,
    ("come_back", users, anything): 2,
    ("open_portal", users): 2,
    ("switch", users, organizations): 3,
    ("switch", users, st.none()): 1,
    ("change_role", users, organizations, st.sampled_from((*ROLES, None))): 1,
    ("end", anything): 1,
    ("somebody_elses", organizations): 1,
    ("deliver", anything): 4,
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(what), *details)
        for (what, *details), times in STEP.items()
        for _ in range(times)
    ),
    min_size=26,
    max_size=40,
)
MEMBERS = st.fixed_dictionaries(
    {
        (user, organization): st.sampled_from(("admin", "billing", "admin", "member", None))
        for user in USERS
        for organization in ORGANIZATIONS
    }
)
ACTIVE = st.fixed_dictionaries(dict.fromkeys(USERS, organizations))


@dataclass
class Play:
    """active: the organization that is active in each user's session. quantities: what each
    organization has ordered, of which nobody else may see anything.
    """

    service: Service
    roles: dict[tuple[str, str], str | None]
    version: Iterator[int]
    active: dict[str, str | None]
    quantities: dict[str, set[int]] = field(default_factory=dict)
    number: Iterator[int] = field(default_factory=lambda: count(2))

    def __post_init__(self) -> None:
        organizations = self.service.world.clerk.organizations
        for organization, members in list(organizations.all().items()):
            for user in list(members):
                organizations.leave(organization, user)
        for (user, organization), role in self.roles.items():
            if role:
                organizations.join(organization, clerk_id(user), role)

    def member(self, user: str) -> Member:
        """With the organization that is active, if it still is theirs."""
        organization = self.active.get(user)
        if organization and not self.roles[user, organization]:
            organization = None
        return Member(self.service, user, organization, next(self.version))

    def role(self, who: Member) -> str | None:
        return self.roles[who.user, who.organization] if who.organization else None

    def sees_its_own(self, who: Member, shown: Json) -> None:
        own = self.quantities.get(who.organization or "", set())
        assert shown["quantity"] is None or shown["quantity"] in own, (who, shown)
        assert not shown["can_manage_billing"] or self.role(who) in MAY_SPEND
        assert not shown["can_checkout"] or self.role(who) in MAY_SPEND

    # What people do

    def switch(self, user: str, organization: str | None) -> None:
        self.active[user] = organization

    def change_role(self, user: str, organization: str, role: str | None) -> None:
        organizations = self.service.world.clerk.organizations
        if role:
            organizations.join(organization, clerk_id(user), role)
        else:
            with suppress(KeyError):
                organizations.leave(organization, clerk_id(user))
        self.roles[user, organization] = role

    def check_out(self, user: str) -> None:
        who, quantity = self.member(user), next(self.number)
        answer = who.checkout({"quantity": quantity})
        if self.role(who) not in MAY_SPEND:
            code = "not_billing_admin" if who.organization else "organization_required"
            assert (answer.status_code, (answer.json or {})["code"]) == (403, code)
            return
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            session = session_of(self.service.world.stripe, answer)
            assert session["metadata"]["clerk_org_id"] == who.organization
            assert session["metadata"]["clerk_user_id"] == clerk_id(user)
            assert linked(self.service.world)[who.organization or ""] == session["customer"]
            self.quantities.setdefault(who.organization or "", set()).add(quantity)

    def buy(self, user: str) -> None:
        self.check_out(user)
        self.pay(-1)

    def pay(self, which: int) -> None:
        """Whoever has the address."""
        stripe = self.service.world.stripe
        still_open = [s["id"] for s in stripe.sessions.values() if s["status"] == "open"]
        if still_open:
            stripe.checkout(still_open[which % len(still_open)], "pay")

    def come_back(self, user: str, which: int) -> None:
        """With the id of any session, whosever."""
        sessions = list(self.service.world.stripe.sessions)
        body = {"checkout_session_id": sessions[which % len(sessions)]} if sessions else None
        who = self.member(user)
        answer = who.refresh(body)
        assert answer.status_code == 200, answer.text
        self.sees_its_own(who, answer.json or {})

    def open_portal(self, user: str) -> None:
        who, stripe = self.member(user), self.service.world.stripe
        before = set(stripe.portal_sessions)
        answer = who.portal()
        made = [stripe.portal_sessions[one] for one in set(stripe.portal_sessions) - before]
        if answer.status_code != 200:
            assert not made
            return
        assert self.role(who) in MAY_SPEND
        assert [one["customer"] for one in made] == [
            linked(self.service.world)[who.organization or ""]
        ]

    # What Stripe does

    def end(self, which: int) -> None:
        stripe = self.service.world.stripe
        running = [s["id"] for s in stripe.subscriptions.values() if s["status"] == "active"]
        if running:
            stripe.act(running[which % len(running)], "cancel_now")

    def somebody_elses(self, organization: str) -> None:
        """Another system's product, with our organization in its metadata."""
        stripe, whose = self.service.world.stripe, {"clerk_org_id": organization}
        customer = stripe.create_customer(metadata=whose)["id"]
        stripe.create_subscription(None, "price_other", customer=customer, metadata=whose)

    def deliver(self, which: int) -> None:
        """Any event, also again."""
        events = list(self.service.world.stripe.events.values())
        if events:
            assert self.service.deliver(events[which % len(events)]).status_code == 200

    # At the end

    def ends_right(self, order: st.DataObject) -> None:
        events = list(self.service.world.stripe.events.values())
        for event in order.draw(st.permutations(events)):
            assert self.service.deliver(event).status_code == 200
        self.rows_are_their_owners()
        running = self.running_of_organization()
        for user in USERS:
            for organization in (*ORGANIZATIONS, None):
                self.active[user] = organization
                who = self.member(user)
                shown, role = who.shown(), self.role(who)
                self.sees_its_own(who, shown)
                assert shown["subscribed"] == (who.organization in running)
                if shown["subscribed"]:
                    assert shown["quantity"] == running[who.organization or ""]
                has_customer = who.organization in linked(self.service.world)
                assert shown["can_manage_billing"] == (role in MAY_SPEND and has_customer)

    def running_of_organization(self) -> dict[str, int]:
        """What runs at Stripe, by whom its own metadata names: one each, whoever clicked."""
        ours: list[Json] = [
            one for one in self.service.world.stripe.subscriptions.values()
            if one["status"] == "active" and "clerk_user_id" in one["metadata"]
        ]  # fmt: skip
        found = {o["metadata"]["clerk_org_id"]: o["items"]["data"][0]["quantity"] for o in ours}
        assert len(found) == len(ours)
        return found

    def rows_are_their_owners(self) -> None:
        world = self.service.world
        customers = {customer: owner for owner, customer in linked(world).items()}
        for row in world.rows():
            assert row["clerk_owner_id"] == customers[row["stripe_customer_id"]]
            assert row["quantity"] in self.quantities[row["clerk_owner_id"]]
        for session in world.stripe.sessions.values():
            assert session["metadata"]["clerk_org_id"] == customers[session["customer"]]
        assert set(customers.values()) <= set(ORGANIZATIONS)


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(
        billing_owner="organization",
        billing_org_roles=("admin", "billing"),
        rate_limit="1000000/second",
        refresh_rate_limit="1000000/second",
    )


@settings(
    max_examples=12,
    phases=[Phase.generate],  # to make a failure smaller would take longer than a test may
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS, members=MEMBERS, active=ACTIVE, order=st.data())
def test_nobody_ever_sees_pays_or_manages_the_wrong_one(
    world: World, service: Service, steps: list[tuple[Any, ...]],
    members: dict[tuple[str, str], str | None], active: dict[str, str | None], order: st.DataObject,
) -> None:  # fmt: skip
    world.reset()
    versions = (1 + number % 2 for number in count())
    play = Play(service, dict(members), versions, dict(active))
    for (what, *details), user in zip(steps, cycle(USERS), strict=False):
        getattr(play, what)(*details)
        who = play.member(user)
        play.sees_its_own(who, who.shown())
    play.ends_right(order)
