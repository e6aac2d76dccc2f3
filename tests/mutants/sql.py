"""Bugs for the migrations: by name, a text that stands there once, and what replaces it."""

CONTENT = "when jsonb_populate_record(s.*, content) *<> s.* then now()"
RLS = "'public.subscriptions'::regclass, 'public.billing_customers'::regclass,\n      "
GONE = "'public.gone_customers'::regclass"
POLICY = "or user_id::text = any ((select billing_private.reader_user_ids())::text[])"
REVOKED = "revoke all on function\n  public.billing_user_id(text),\n"
LINK = "  public.billing_account(text, boolean),\n  public.link_customer(text, boolean, text),\n"
CALLED = (
    "  public.billing_trial_write(),\n  billing_private.claim(text, text, boolean, text)\n  to "
)
CLAIM = "    null, link_customer.stripe_customer_id, link_customer.livemode, null);"
FIRST_OWNER = "and s.clerk_owner_id is not null\n     order by s.created_at, s.revision"
LOCK = "perform pg_advisory_xact_lock(hashtextextended('billing customer ' || customer, 0));"

BUGS: dict[str, tuple[str, str]] = {
    # Whose row
    "metadata opens another user's row": (
        "and s.user_id::text <> coalesce(app_user, '')",
        "and false",
    ),
    "two first subscriptions do not wait for each other": (LOCK, "null;"),
    "an owner is moved": ("coalesce(s.clerk_owner_id, owner)", "coalesce(owner, s.clerk_owner_id)"),
    "another owner's row is claimed": (
        "and (s.clerk_owner_id is null or s.clerk_owner_id = owner)\n",
        "",
    ),
    "another user's row is claimed": (
        "and (s.user_id is null or s.user_id::text = app_user)\n",
        "\n",
    ),
    "a claim waits for locked rows": ("for update skip locked", "for update"),
    "the newest owner of a customer counts": (FIRST_OWNER, FIRST_OWNER + " desc"),
    "a user that breaks a constraint loses the payment": (
        "when data_exception or integrity_constraint_violation then",
        "when data_exception then",
    ),
    "a user's link is nulled": ("coalesce(s.user_id, typed.user_id)", "typed.user_id"),
    "metadata outranks a known owner": ("if owner is null and named <> ''", "if named <> ''"),
    # What the service calls
    "an account has rows of its customer that others own": (
        "or s.clerk_owner_id is null and s.stripe_customer_id = customer)",
        "or s.stripe_customer_id = customer)",
    ),
    "rows without a mode are left out": (" or s.livemode is null)", ")"),
    "both modes are mixed": (
        "and (s.livemode = billing_account.livemode or s.livemode is null)\n",
        "\n",
    ),
    "an account has the customer of the other mode": (
        "\n      and c.livemode = billing_account.livemode\n",
        "\n",
    ),
    "customers gone in the other mode count": (
        "where g.livemode = billing_account.livemode and",
        "where",
    ),
    "another owner's customer can be linked": (
        "and s.clerk_owner_id <> link_customer.clerk_owner_id",
        "and false",
    ),
    "a customer is not replaced": (
        "do update set stripe_customer_id = excluded.stripe_customer_id;",
        "do nothing;",
    ),
    "a new customer's rows are not claimed": (CLAIM, "    null, null, null, null);"),
    "a customer comes back in both modes": (
        "where not mark_customer.gone and g.livemode = mark_customer.livemode\n",
        "where not mark_customer.gone\n",
    ),
    "an empty id is stored": (
        "if coalesce(said.stripe_subscription_id, '') = '' then",
        "if said.stripe_subscription_id is null then",
    ),
    "exactly 60 s is not enough": ("<= said.as_of - interval", "< said.as_of - interval"),
    "a later revision is written over": ("else s.revision = upsert", "else s.revision >= upsert"),
    "updated_at moves with each write": (CONTENT, "when true then now()"),
    "a row that is there is an error": (
        "on conflict (stripe_subscription_id) do nothing\n    returning",
        "returning",
    ),
    "a write loses the end of a trial": (
        "said.canceled_at, said.trial_end, said.ended_at, said.pause_resumes_at,\n",
        "said.canceled_at, s.trial_end, said.ended_at, said.pause_resumes_at,\n",
    ),
    "what the trial wrote stays": ("raise sqlstate 'BT000';", "return '{}';"),
    # Who may
    "an empty sub is a reader": ("nullif(claims ->> 'sub', '')", "claims ->> 'sub'"),
    "the organization of old tokens is not read": ("then claims ->> 'org_id' end", "then null end"),
    "a team's own org_id is believed": ("claims ->> 'v' is null", "true"),
    "an organization may be a user": ("'^org_.+$'", "'^.+$'"),
    "the policy shows rows of a customer that others own": (
        "or clerk_owner_id is null\n      and stripe_customer_id",
        "or stripe_customer_id",
    ),
    "the policy forgets the user": (POLICY, ""),
    "the policy is for everybody": ("for select to authenticated '", "for select to public '"),
    "the policy lets write": ("for select to authenticated '", "for all to authenticated '"),
    "signed-in users may update": (
        "grant select on table public.subscriptions to authenticated",
        "grant select, update on table public.subscriptions to authenticated",
    ),
    "visitors keep their rights on tables": (
        "public.gone_customers\n  from public, anon, authenticated;",
        "public.gone_customers\n  from public, authenticated;",
    ),
    "everybody may link a customer": (REVOKED + LINK, REVOKED + LINK.splitlines()[0]),
    "signed-in users may claim": (CALLED, CALLED + "authenticated, "),
    "one table is without row level security": (RLS + GONE, RLS[:-8]),
    "the reader's customers are asked for as the reader": (
        "reader_customers() returns text[]\nlanguage sql stable security definer",
        "reader_customers() returns text[]\nlanguage sql stable",
    ),
    "a customer has two owners": ("text not null unique check", "text not null check"),
    # The upgrade
    "another role's table is changed": ("and not pg_has_role(c.relowner, 'usage')", "and false"),
    "any table of that name is taken": (
        "    if is_billing then\n      return;",
        "    if true then\n      return;",
    ),
    "a type that can't hold it stays": (
        "where strpos(o.fits, t.typcategory::text) = 0\n  or",
        "where",
    ),
    "two rows of a subscription are not told": (
        "having count(*) > 1 order",
        "having count(*) > 2 order",
    ),
    "a computed time is changed": (
        "select case when used then 'say'",
        "select case when false then 'say'",
    ),
    "the sequence stays behind the table": ("where last_value < highest", "where false"),
    "a column stays not null": ("and a.attnotnull\n", "and false\n"),
    "Realtime loses its rows": ("where i.indisreplident;", "where false;"),
    "a rule is not told": ("and r.ev_type in ('2', '3')", "and false"),
    "the upgrade waits long for a lock": (
        "lock_timeout = '3s';  -- shorter",
        "lock_timeout = '60s';  -- shorter",
    ),
    "old sequences stay open": (
        "or has_sequence_privilege('anon', seq.oid, 'usage, update')",
        "or false",
    ),
}
