-- Billing: who has which Stripe customer, and what Stripe last said about each subscription.
--
-- Tables, functions, policies and grants, each made only where it is missing or replaced by itself:
-- a later release ships this file again, and running it twice changes nothing. A `subscriptions`
-- table that is older than this file is made ready by the file before it. Its last statement tells
-- what was found and what needs a decision of yours; `select * from billing_notices()` tells again.

begin;

set local lock_timeout = '3s';
set local client_min_messages = warning;  -- Postgres' own "already exists" would bury our notices

-- The file before this one leaves billing_private.notices behind, where all that it found is ours.
do $$
begin
  if coalesce(to_regclass('public.subscriptions'), to_regclass('public.billing_customers'),
    to_regclass('public.gone_customers')) is not null and not exists (
      select from pg_catalog.pg_attribute
      where attrelid = to_regclass('billing_private.notices') and attname = 'noticed_at')
  then
    raise exception 'A table has our name, and is not upgraded or not ours: run the file before '
      'this one first, and do what it says.';
  end if;
end
$$;


-- Tables ------------------------------------------------------------------------------------------

create schema if not exists billing_private;  -- never exposed: what policies ask, what was noticed

create table if not exists billing_private.notices (
  n bigint generated always as identity primary key,
  noticed_at timestamptz not null default now(),
  source text not null,  -- done: once and for all; else the file that says it as long as it is so
  notice text not null unique
);

-- One sequence numbers every accepted write of every row, so that a row that was deleted and made
-- again never shows a revision that somebody has read before.
create sequence if not exists public.subscriptions_revision_seq as bigint;

-- user_id is what the app calls its user, in the app's own type where the table is older than this
-- file; clerk_owner_id is Clerk's id of whoever pays. as_of is the moment on Stripe's clock that
-- the row describes. The free tenth of each page keeps a refresh from touching an index.
create table if not exists public.subscriptions (
  stripe_subscription_id text primary key,
  user_id text, clerk_owner_id text, stripe_customer_id text,
  status text, plan text, price_id text, product_id text, quantity integer, items jsonb,
  collection_method text, current_period_end timestamptz, cancel_at timestamptz,
  canceled_at timestamptz, trial_end timestamptz, ended_at timestamptz,
  pause_resumes_at timestamptz, cancel_at_period_end boolean, pause_collection text,
  paused_reason text, livemode boolean, as_of timestamptz,
  revision bigint not null default nextval('public.subscriptions_revision_seq'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 90);
alter sequence public.subscriptions_revision_seq owned by public.subscriptions.revision;

-- Who pays, known before the first subscription.
create table if not exists public.billing_customers (
  clerk_owner_id text not null check (clerk_owner_id <> ''),
  livemode boolean not null,
  stripe_customer_id text not null unique check (stripe_customer_id <> ''),
  primary key (clerk_owner_id, livemode)
);

-- What Stripe no longer has under a key of that mode.
create table if not exists public.gone_customers (
  stripe_customer_id text not null check (stripe_customer_id <> ''),
  livemode boolean not null,
  gone_at timestamptz not null default now(),
  primary key (stripe_customer_id, livemode)
);

-- Whose turn it is to run `sync` in a mode, and until when at the latest; and what the last run of
-- each scope found: `all`, or `since` some time.
create table if not exists billing_private.sync_leases (
  livemode boolean primary key,
  holder text not null,
  begun_at timestamptz not null,
  ends_at timestamptz not null
);
create table if not exists billing_private.syncs (
  livemode boolean not null,
  scope text not null,
  done_at timestamptz,
  failed_at timestamptz,
  differing_rows integer not null,
  unclaimed_subscriptions integer not null,
  primary key (livemode, scope)
);

-- Identifiers are compared as text, whatever type the app's own has. An index that is there under
-- any name counts. On a big table make them beforehand, one by one, and nobody has to wait:
--
--   create index concurrently on public.subscriptions ((user_id::text));
--   create index concurrently on public.subscriptions (stripe_customer_id);
do $$
declare
  wanted record;
begin
  for wanted in
    select key, condition from (values
      ('(user_id::text)', '^\(?user_id\)?(::text\)?)?$', null),
      ('stripe_customer_id', '^stripe_customer_id$', null),
      ('clerk_owner_id', '^clerk_owner_id$', 'clerk_owner_id is not null')
    ) as indexes (key, pattern, condition)
    where not exists (
      select from pg_catalog.pg_index i
      join pg_catalog.pg_opclass o on o.oid = i.indclass[0]
      join pg_catalog.pg_am m on m.oid = o.opcmethod and m.amname = 'btree'
      where i.indrelid = 'public.subscriptions'::regclass and i.indisvalid
        and pg_get_indexdef(i.indexrelid, 1, true) ~ pattern
        -- user_id in its own type serves a text alone
        and (pattern !~ 'user_id' or o.opcname in ('text_ops', 'varchar_ops'))
        and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ilike '(' || condition || ')'))
  loop
    execute format('create index on public.subscriptions (%s)', wanted.key)
      || coalesce(' where ' || wanted.condition, '');
  end loop;
  if found then
    analyze public.subscriptions;  -- or Postgres would guess, and read a whole index
  end if;
end
$$;


-- Whose row ---------------------------------------------------------------------------------------

-- The one place that knows the app's tables: Clerk's id -> what the app calls this user, or null.
-- Created only where it is absent, so that your own survives the next run. An app that keys its
-- data by Clerk's id replaces the body by `select clerk_id`; one with other names, the names.
-- Keep it `security definer` with qualified names: the service role need not read your users.
do $$
begin
  if to_regprocedure('public.billing_user_id(text)') is not null then
    return;
  elsif exists (
    select from (select user_id::text as id from public.subscriptions limit 1000) as sample
    where id ~ '^(user|org)_[A-Za-z0-9]+$'
  ) then
    create function public.billing_user_id(clerk_id text) returns text
    language sql stable set search_path = '' as 'select billing_user_id.clerk_id';
  else
    create function public.billing_user_id(clerk_id text) returns text
    language plpgsql stable security definer set search_path = '' as $body$
    begin
      return (select u.id::text from public.users u
              where u.clerk_id::text = billing_user_id.clerk_id order by 1 limit 1);
    exception when undefined_table or undefined_column then
      return null;
    end
    $body$;
  end if;
end
$$;

-- Gives a row, and every other row of its customer, the owner and the user that they lack. A row's
-- owner is its own; else the one whom billing_customers has for its customer; else that of another
-- row of the customer; else the one who is named, by Stripe's metadata. Its user is
-- billing_user_id of the owner, else that of another row of the owner; where nobody knows an owner,
-- that of another row of the customer.
-- A link once made is never nulled or moved, and an owner is given only to a row whose user_id is
-- empty or theirs: metadata never opens another user's row. None of this is a word of Stripe's, so
-- revision and as_of stay. True where a row was changed.
create or replace function billing_private.claim(
  subscription_id text, customer text, livemode boolean, named text
) returns boolean
language plpgsql set search_path = public as $$
#variable_conflict use_variable
declare
  owner text; owners text[];
  app_user text; users text[];
  unclaimed tid[];
begin
  customer := nullif(customer, '');
  if not exists (
    select from public.subscriptions s
    where (s.stripe_subscription_id = subscription_id or s.stripe_customer_id = customer)
      and (s.clerk_owner_id is null or s.user_id is null)
  ) then
    return false;
  end if;

  -- Two first subscriptions of a customer that name different owners: the second waits for the
  -- first, and then reads what that one was given.
  perform pg_advisory_xact_lock(hashtextextended('billing customer ' || customer, 0));

  select max(s.clerk_owner_id) filter (where s.stripe_subscription_id = subscription_id),
    array_agg(s.clerk_owner_id order by s.created_at, s.revision)
      filter (where s.clerk_owner_id is not null),
    array_agg(s.user_id::text order by s.created_at, s.revision)
      filter (where s.user_id is not null)
  into owner, owners, users
  from public.subscriptions s
  where s.stripe_subscription_id = subscription_id or s.stripe_customer_id = customer;
  owner := coalesce(owner, (
    select c.clerk_owner_id from public.billing_customers c
    where c.stripe_customer_id = customer), owners[1]);
  if owner is null and named <> '' then
    app_user := public.billing_user_id(named)::text;
    if users is null or coalesce(app_user, '') = all (users) then
      owner := named;
    end if;
  end if;

  if owner is null then
    app_user := users[1];
  else
    app_user := coalesce(public.billing_user_id(owner)::text, (
      select s.user_id::text from public.subscriptions s
      where s.clerk_owner_id = owner and s.user_id is not null
      order by s.created_at, s.revision limit 1));
    insert into public.billing_customers (clerk_owner_id, livemode, stripe_customer_id)
    select owner, livemode, customer where livemode is not null and customer is not null
    on conflict do nothing;
  end if;

  -- A row that somebody else is writing is passed over, since waiting for it could deadlock; its
  -- own next write claims it.
  unclaimed := array(
    select s.ctid from public.subscriptions s
    where (s.stripe_subscription_id = subscription_id or s.stripe_customer_id = customer)
      and (s.clerk_owner_id is null and owner is not null
           or s.user_id is null and app_user is not null)
      and (s.clerk_owner_id is null or s.clerk_owner_id = owner)
      and (s.user_id is null or s.user_id::text = app_user)
    for update skip locked);

  for attempt in 1 .. 2 loop
    begin
      update public.subscriptions s set
        clerk_owner_id = coalesce(s.clerk_owner_id, owner),
        user_id = coalesce(s.user_id, (
          jsonb_populate_record(s.*, jsonb_build_object('user_id', app_user))).user_id)
      where s.ctid = any (unclaimed);
      return found;
    exception when data_exception or integrity_constraint_violation then
      -- The app's own id does not fit the column's type or its foreign key. Better no user than a
      -- payment that cannot be stored: the owner and the customer find the row anyway.
      raise warning 'customer %: its rows are stored without the user %: %',
        customer, app_user, sqlerrm;
      app_user := null;
    end;
  end loop;
  return false;
end
$$;


-- What the service calls --------------------------------------------------------------------------
--
-- They run with the rights of the service role. Their own names are all qualified; the search_path
-- is for a billing_user_id of your own that does not qualify its names. A column of your own named
-- like one of their variables does not disturb them: every column is written with its table.

-- Everything that is known about an owner, in one round trip: the rows of the owner, those of the
-- app's user, and those of the customer that nobody else owns. One whose livemode is null is older
-- than that column and counts in both.
create or replace function public.billing_account(clerk_owner_id text, livemode boolean)
returns jsonb
language plpgsql stable set search_path = public as $$
#variable_conflict use_variable
declare
  app_user text := public.billing_user_id(billing_account.clerk_owner_id);
  customer text := (
    select c.stripe_customer_id from public.billing_customers c
    where c.clerk_owner_id = billing_account.clerk_owner_id
      and c.livemode = billing_account.livemode
  );
  subscriptions jsonb := coalesce((
    select jsonb_agg(
      to_jsonb(s.*) || jsonb_build_object('user_id', s.user_id::text) order by s.revision)
    from public.subscriptions s
    where (s.clerk_owner_id = billing_account.clerk_owner_id
           or s.user_id::text = app_user  -- also where their Clerk account was made anew
           or s.clerk_owner_id is null and s.stripe_customer_id = customer)
      and (s.livemode = billing_account.livemode or s.livemode is null)
  ), '[]');
begin
  return jsonb_build_object(
    'user_id', app_user,
    'stripe_customer_id', customer,
    'gone_customers', coalesce((
      select jsonb_agg(g.stripe_customer_id order by g.stripe_customer_id)
      from public.gone_customers g
      where g.livemode = billing_account.livemode and g.stripe_customer_id = any (array(
        select customer
        union all
        select one ->> 'stripe_customer_id' from jsonb_array_elements(subscriptions) as one))
    ), '[]'),
    'subscriptions', subscriptions
  );
end
$$;

-- Replaces the owner's customer of that mode. One that is another owner's is an error, 23505, never
-- a move.
create or replace function public.link_customer(
  clerk_owner_id text, livemode boolean, stripe_customer_id text
) returns void
language plpgsql set search_path = public as $$
#variable_conflict use_column
begin
  perform pg_advisory_xact_lock(
    hashtextextended('billing customer ' || link_customer.stripe_customer_id, 0));
  if exists (
    select from public.subscriptions s
    where s.stripe_customer_id = link_customer.stripe_customer_id
      and s.clerk_owner_id <> link_customer.clerk_owner_id
  ) then
    raise unique_violation using message = format(
      'the customer %s is that of another owner', link_customer.stripe_customer_id);
  end if;
  insert into public.billing_customers (clerk_owner_id, livemode, stripe_customer_id)
  values (link_customer.clerk_owner_id, link_customer.livemode, link_customer.stripe_customer_id)
  on conflict (clerk_owner_id, livemode)
  do update set stripe_customer_id = excluded.stripe_customer_id;
  perform billing_private.claim(
    null, link_customer.stripe_customer_id, link_customer.livemode, null);
end
$$;

-- Remembers that Stripe has no such customer under a key of that mode, or has it after all.
create or replace function public.mark_customer(
  stripe_customer_id text, livemode boolean, gone boolean
) returns void
language sql set search_path = public as $$
  insert into public.gone_customers (stripe_customer_id, livemode)
  select mark_customer.stripe_customer_id, mark_customer.livemode where mark_customer.gone
  on conflict do nothing;
  delete from public.gone_customers g
  where not mark_customer.gone and g.livemode = mark_customer.livemode
    and g.stripe_customer_id = mark_customer.stripe_customer_id;
$$;

-- Puts a word that stands for nobody where an owner's id is, in the rows and links of one mode, and
-- takes the app's user away. What Stripe says stays, for the books. A link once made is never moved,
-- so no metadata that Stripe may still have brings the id back.
create or replace function public.forget_owner(clerk_owner_id text, livemode boolean)
returns jsonb
language plpgsql set search_path = public as $$
#variable_conflict use_variable
declare
  owner constant text := forget_owner.clerk_owner_id;
  nobody constant text := 'forgotten_' || replace(gen_random_uuid()::text, '-', '');
  app_user constant text := public.billing_user_id(owner);
  customers text[];
  forgotten_rows bigint;
  forgotten_customers bigint;
begin
  customers := array(
    select c.stripe_customer_id from public.billing_customers c
    where c.clerk_owner_id = owner and c.livemode = forget_owner.livemode
    union
    select s.stripe_customer_id from public.subscriptions s
    where s.clerk_owner_id = owner and s.stripe_customer_id <> ''
      and (s.livemode = forget_owner.livemode or s.livemode is null)
    order by 1);
  -- As `claim`: whoever claims a row of theirs at this moment is waited for, and waits.
  perform pg_advisory_xact_lock(hashtextextended('billing customer ' || customer, 0))
  from unnest(customers) as customer;

  update public.subscriptions s set clerk_owner_id = nobody, user_id = null
  where (s.clerk_owner_id = owner or s.clerk_owner_id is null
         and (s.user_id::text = app_user or s.stripe_customer_id = any (customers)))
    and (s.livemode = forget_owner.livemode or s.livemode is null);
  get diagnostics forgotten_rows = row_count;
  update public.billing_customers c set clerk_owner_id = nobody
  where c.clerk_owner_id = owner and c.livemode = forget_owner.livemode;
  get diagnostics forgotten_customers = row_count;
  return jsonb_build_object(
    'subscriptions', forgotten_rows,
    'customers', forgotten_customers,
    'of_the_other_mode',
      (select count(*) from public.subscriptions s where s.clerk_owner_id = owner)
      + (select count(*) from public.billing_customers c where c.clerk_owner_id = owner)
  );
end
$$;

-- The only writer of what Stripe says. It writes
--
--   expected_revision  statement
--   null               update, where Stripe stamped the snapshot at least 60 s after what the row
--                      describes; a null as_of is never clearly older
--   0                  insert, where there is no row
--   above 0            update, where nobody wrote since that revision was read
--
-- and gives back the row, or nothing: "not decisive" or "somebody wrote meanwhile". There is no
-- `on conflict do update`, since that would insert where the row was deleted meanwhile. Every
-- accepted write moves as_of and revision on, also one that finds nothing new, or a slower writer
-- with an older state would still hold a good revision. updated_at moves only with content.
create or replace function public.upsert_subscription(
  subscription jsonb, clerk_owner_id text default null, expected_revision bigint default null
) returns setof public.subscriptions
language plpgsql set search_path = public as $$
#variable_conflict use_variable
declare
  -- As a row of the table, so that each value has its column's own type, an enum too.
  said public.subscriptions := jsonb_populate_record(
    null::public.subscriptions, upsert_subscription.subscription);
  content jsonb := upsert_subscription.subscription - array['as_of', 'revision', 'updated_at'];
  written public.subscriptions;
begin
  if coalesce(said.stripe_subscription_id, '') = '' then
    raise null_value_not_allowed using message = 'a subscription needs its stripe_subscription_id';
  end if;

  if upsert_subscription.expected_revision = 0 then
    insert into public.subscriptions as s
      (stripe_subscription_id, stripe_customer_id, status, plan, price_id, product_id, quantity,
       items, collection_method, current_period_end, cancel_at, canceled_at, trial_end, ended_at,
       pause_resumes_at, cancel_at_period_end, pause_collection, paused_reason, livemode, as_of,
       revision, created_at, updated_at)
    values
      (said.stripe_subscription_id, said.stripe_customer_id, said.status, said.plan,
       said.price_id, said.product_id, said.quantity, said.items, said.collection_method,
       said.current_period_end, said.cancel_at, said.canceled_at, said.trial_end, said.ended_at,
       said.pause_resumes_at, said.cancel_at_period_end, said.pause_collection,
       said.paused_reason, said.livemode, said.as_of,
       nextval('public.subscriptions_revision_seq'), now(), now())
    on conflict (stripe_subscription_id) do nothing
    returning s.* into written;
  else
    update public.subscriptions s set
      (stripe_customer_id, status, plan, price_id, product_id, quantity, items,
       collection_method, current_period_end, cancel_at, canceled_at, trial_end, ended_at,
       pause_resumes_at, cancel_at_period_end, pause_collection, paused_reason, livemode, as_of) =
      (said.stripe_customer_id, said.status, said.plan, said.price_id, said.product_id,
       said.quantity, said.items, said.collection_method, said.current_period_end, said.cancel_at,
       said.canceled_at, said.trial_end, said.ended_at, said.pause_resumes_at,
       said.cancel_at_period_end, said.pause_collection, said.paused_reason, said.livemode,
       said.as_of),
      revision = nextval('public.subscriptions_revision_seq'),
      updated_at = case
        when jsonb_populate_record(s.*, content) *<> s.* then now() else s.updated_at end
    where s.stripe_subscription_id = said.stripe_subscription_id
      and case when upsert_subscription.expected_revision is null
        then s.as_of <= said.as_of - interval '60 seconds'
        else s.revision = upsert_subscription.expected_revision end
    returning s.* into written;
  end if;

  if not found then
    return;
  end if;
  if billing_private.claim(
    written.stripe_subscription_id, written.stripe_customer_id, written.livemode,
    upsert_subscription.clerk_owner_id
  ) then
    select s.* into written from public.subscriptions s
    where s.stripe_subscription_id = written.stripe_subscription_id;
  end if;
  return next written;
end
$$;


-- Takes, or holds on to, the lease of `sync` for one run, and says who has it. It ends by itself, by
-- this database's clock: a run that was killed keeps nobody out for long.
create or replace function public.billing_hold_sync(
  livemode boolean, holder text, seconds integer
) returns jsonb
language plpgsql set search_path = '' as $$
#variable_conflict use_column
begin
  insert into billing_private.sync_leases as l (livemode, holder, begun_at, ends_at)
  values (billing_hold_sync.livemode, billing_hold_sync.holder, clock_timestamp(),
    clock_timestamp() + make_interval(secs => billing_hold_sync.seconds))
  on conflict (livemode) do update set
    holder = excluded.holder, ends_at = excluded.ends_at,
    begun_at = case when l.holder = excluded.holder then l.begun_at else excluded.begun_at end
  where l.holder = excluded.holder or l.ends_at <= clock_timestamp();
  return coalesce((
    select jsonb_build_object('is_ours', l.holder = billing_hold_sync.holder,
      'begun_at', l.begun_at, 'ends_at', l.ends_at)
    from billing_private.sync_leases l where l.livemode = billing_hold_sync.livemode
  ), '{"is_ours": false}');
end
$$;

-- Gives the lease back, and keeps what the run found where it found something to be kept. A run that
-- has lost its lease keeps nothing.
create or replace function public.billing_end_sync(livemode boolean, holder text, found jsonb)
returns void
language sql set search_path = '' as $$
  with ended as (
    delete from billing_private.sync_leases l
    where l.livemode = billing_end_sync.livemode and l.holder = billing_end_sync.holder
    returning l.livemode
  )
  insert into billing_private.syncs as s
    (livemode, scope, done_at, failed_at, differing_rows, unclaimed_subscriptions)
  select ended.livemode, run.scope, case run.outcome when 'done' then clock_timestamp() end,
    case run.outcome when 'failed' then clock_timestamp() end, run.differing_rows,
    run.unclaimed_subscriptions
  from ended, jsonb_to_record(billing_end_sync.found) as run (
    scope text, outcome text, differing_rows integer, unclaimed_subscriptions integer)
  where billing_end_sync.found is not null
  on conflict (livemode, scope) do update set
    done_at = coalesce(excluded.done_at, s.done_at),
    failed_at = coalesce(excluded.failed_at, s.failed_at),
    differing_rows = excluded.differing_rows,
    unclaimed_subscriptions = excluded.unclaimed_subscriptions;
$$;

-- What the last run of each scope found. For the service's metrics.
create or replace function public.billing_syncs(livemode boolean) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(s) order by s.scope), '[]')
  from billing_private.syncs s where s.livemode = billing_syncs.livemode;
$$;


-- What the migration had to say.
create or replace function public.billing_notices()
returns table (noticed_at timestamptz, notice text)
language sql stable set search_path = '' as $$
  select n.noticed_at, n.notice from billing_private.notices n order by n.n;
$$;


-- Why a purchase can't be stored, one row and no more; nothing stays written. For readiness: a team
-- may put a column or a trigger of its own onto the table long after this file. Which plans there
-- are is not known here: that null or `pro` can be stored is enough.
create or replace function public.billing_trial_write() returns text[]
language plpgsql set search_path = '' as $$
declare
  trial constant jsonb := jsonb_build_object(
    'stripe_subscription_id', 'sub_1BillingTrial00000000001',
    'stripe_customer_id', 'cus_BillingTrial01', 'status', 'active', 'livemode', false,
    'cancel_at_period_end', false, 'items', '[]'::jsonb, 'as_of', now());
  plan text;
  written bigint;
  reason text;
begin
  foreach plan in array array[null, 'pro'] loop
    begin
      select u.revision into written
      from public.upsert_subscription(trial || jsonb_build_object('plan', plan), null, 0) u;
      perform public.upsert_subscription(trial || jsonb_build_object('plan', plan), null, written);
      if not found then
        raise 'the table takes the row without an error, and does not keep it';
      end if;
      raise sqlstate 'BT000';
    exception
      when sqlstate 'BT000' then return '{}';
      when others then reason := coalesce(reason, sqlerrm);
    end;
  end loop;
  return array[reason];
end
$$;


-- Who else may do what the grants and policies below keep to the service, a line each: a dashboard
-- opens such a door with one click. For the command `check`.
create or replace function public.billing_open_doors() returns text[]
language sql stable set search_path = '' as $$
  with
    ours (item) as (select to_regclass(name) from unnest(array[
      'public.subscriptions', 'public.billing_customers', 'public.gone_customers']) as name),
    others (who) as (values ('anon'), ('authenticated')),
    calls (item) as (select to_regprocedure(name) from unnest(array[
      'public.billing_user_id(text)', 'public.billing_account(text, boolean)',
      'public.link_customer(text, boolean, text)', 'public.mark_customer(text, boolean, boolean)',
      'public.upsert_subscription(jsonb, text, bigint)', 'public.billing_notices()',
      'public.billing_trial_write()', 'public.forget_owner(text, boolean)',
      'public.billing_hold_sync(boolean, text, integer)',
      'public.billing_end_sync(boolean, text, jsonb)', 'public.billing_syncs(boolean)']) as name),
    open (door) as (
      select format('row level security of %s is off', item)
      from ours join pg_catalog.pg_class on oid = item where not relrowsecurity
      union all
      select format('%s may %s on %s', who, doing, item)
      from ours, others, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as doing
      where pg_catalog.has_table_privilege(who, item, doing)
        and (who, doing, item) is distinct from ('authenticated', 'select', to_regclass('public.subscriptions'))
      union all
      select format('%s may call %s', who, item)
      from calls, others where pg_catalog.has_function_privilege(who, item, 'execute')
    )
  select coalesce(array_agg(door order by door), '{}') from open;
$$;


-- Row level security ------------------------------------------------------------------------------

-- Whom a signed-in reader is, from Clerk's token: its `sub`, and its active organization: `o.id`, or
-- `org_id` in tokens of version 1, which have no `v`; beside a `v` that is a claim of the team's
-- own. Security definer, so that they work whatever the policies of the app's own tables are, and
-- in a schema that is not exposed, so that nobody can call them.
create or replace function billing_private.reader_owners() returns text[]
language sql stable set search_path = '' as $$
  select array[nullif(claims ->> 'sub', ''),
               substring(coalesce(claims -> 'o' ->> 'id', case when claims ->> 'v' is null
                 then claims ->> 'org_id' end) from '^org_.+$')]
  from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb as claims) as token;
$$;

create or replace function billing_private.reader_user_ids() returns text[]
language sql stable security definer set search_path = '' as $$
  select array_agg(public.billing_user_id(owner)::text)
  from unnest(billing_private.reader_owners()) as owner where owner is not null;
$$;

create or replace function billing_private.reader_customers() returns text[]
language sql stable security definer set search_path = '' as $$
  select array_agg(c.stripe_customer_id) from public.billing_customers c
  where c.clerk_owner_id = any (billing_private.reader_owners());
$$;

-- Made again only where this text has changed, since that locks everybody out. The subselects make
-- Postgres ask once for each query, not once for each row.
do $$
declare
  named constant text := 'Signed-in users read their own subscriptions';
  condition constant text := '
    clerk_owner_id = any ((select billing_private.reader_owners())::text[])
    or user_id::text = any ((select billing_private.reader_user_ids())::text[])
    or clerk_owner_id is null
      and stripe_customer_id = any ((select billing_private.reader_customers())::text[])';
  item regclass;
begin
  for item in
    select oid from pg_catalog.pg_class where not relrowsecurity and oid = any (array[
      'public.subscriptions', 'public.billing_customers', 'public.gone_customers']::regclass[])
  loop
    execute format('alter table %s enable row level security', item);
  end loop;

  if condition is distinct from (
    select obj_description(oid, 'pg_policy') from pg_catalog.pg_policy
    where polrelid = 'public.subscriptions'::regclass and polname = named
  ) then
    execute format('drop policy if exists %I on public.subscriptions', named);
    execute format('create policy %I on public.subscriptions for select to authenticated '
      'using (%s)', named, condition);
    execute format('comment on policy %I on public.subscriptions is %L', named, condition);
  end if;
end
$$;


-- Grants ------------------------------------------------------------------------------------------

-- A new project grants nothing that is needed, and leaves TRUNCATE on tables, UPDATE on sequences
-- and, for everyone, EXECUTE on functions. Nobody but the service role writes.
revoke all on table public.subscriptions, public.billing_customers, public.gone_customers
  from public, anon, authenticated;
grant select, insert, update, delete
  on table public.subscriptions, public.billing_customers, public.gone_customers
  to service_role;
grant select on table public.subscriptions to authenticated;
grant select on table billing_private.notices to service_role;
grant select, insert, update, delete
  on table billing_private.sync_leases, billing_private.syncs to service_role;

do $$
declare
  callable regprocedure;
begin
  foreach callable in array array[
    'public.billing_user_id(text)', 'public.billing_account(text, boolean)',
    'public.link_customer(text, boolean, text)', 'public.mark_customer(text, boolean, boolean)',
    'public.forget_owner(text, boolean)',
    'public.upsert_subscription(jsonb, text, bigint)', 'public.billing_notices()',
    'public.billing_trial_write()', 'public.billing_open_doors()',
    'public.billing_hold_sync(boolean, text, integer)',
    'public.billing_end_sync(boolean, text, jsonb)', 'public.billing_syncs(boolean)'
  ]::regprocedure[]
  loop
    execute format('revoke all on function %s from public, anon, authenticated', callable);
    execute format('grant execute on function %s to service_role', callable);
  end loop;
end
$$;
revoke all on all functions in schema billing_private from public, anon, authenticated;
grant usage on schema billing_private to authenticated, service_role;
grant execute on function billing_private.claim(text, text, boolean, text) to service_role;
grant execute on function billing_private.reader_owners(), billing_private.reader_user_ids(),
  billing_private.reader_customers() to authenticated;

revoke all on sequence public.subscriptions_revision_seq from public, anon, authenticated;
grant usage, select on sequence public.subscriptions_revision_seq to service_role;


-- PostgREST answers from its own copy of the schema.
notify pgrst, 'reload schema';

commit;


-- What needs a decision of yours ------------------------------------------------------------------
--
-- In a transaction of its own, so that nobody waits while it looks; nor could it use an index that
-- was made in the same one while rows were changing.

begin;

set local client_min_messages = warning;

create temp table billing_says (told text) on commit drop;

-- The last word has the table itself: a purchase goes in, is written again, and is taken back. And
-- is there an answer for those who will ask whose row it is?
do $$
declare
  owner constant text := current_setting('role');
  caller text;
  reasons text[];
begin
  if pg_has_role('service_role', 'member') then
    perform set_config('role', 'service_role', true);
  end if;
  reasons := public.billing_trial_write();
  perform set_config('role', owner, true);
  if reasons <> '{}' then
    raise exception 'A purchase can''t be stored: %. The file before this one names what mends it.',
      array_to_string(reasons, ', ');
  end if;

  foreach caller in array array['service_role', 'authenticated'] loop
    continue when not pg_has_role(caller, 'member');
    begin
      perform set_config('role', caller, true);
      if caller = 'service_role' then
        perform public.billing_user_id('user_nobody');
      else
        perform set_config('request.jwt.claims', '{"sub": "user_nobody"}', true);
        perform billing_private.reader_user_ids();
      end if;
      perform set_config('role', owner, true);
    exception when others then
      insert into pg_temp.billing_says values (format('billing_user_id(text) fails when called for '
        '%s: %s. Write it like the one in this migration: security definer, and with qualified '
        'names.', caller, sqlerrm));
    end;
  end loop;
end
$$;

-- Where billing_user_id(text) finds the users.
insert into pg_temp.billing_says
select case
  when prosrc !~ 'public\.users u\s' and prosrc ~ '^\s*select billing_user_id.clerk_id\s*$'
    then 'user_id holds Clerk''s ids, so billing_user_id(text) gives back the Clerk id itself.'
  when prosrc !~ 'public\.users u\s' then 'billing_user_id(text) is your own and stays as it is.'
  when clerk_id.attnum is not null then format('billing_user_id(text) finds your users by '
    'public.users.clerk_id: user_id will be public.users.id (%s).',
    format_type(id.atttypid, id.atttypmod))
  when to_regclass('public.users') is not null then 'public.users has no columns id and clerk_id: '
    'subscriptions will have no user_id until you give billing_user_id(text) the names of your own.'
  else 'There is no table public.users: subscriptions will have no user_id until '
    'billing_user_id(text) knows where your users are.' end
from pg_catalog.pg_proc p
left join pg_catalog.pg_attribute id
  on id.attrelid = to_regclass('public.users') and id.attname = 'id'
left join pg_catalog.pg_attribute clerk_id
  on clerk_id.attrelid = id.attrelid and clerk_id.attname = 'clerk_id'
where p.oid = 'public.billing_user_id(text)'::regprocedure
union all
select E'public.users has no index on clerk_id, so each call reads all of it. This makes one:\n'
  'create index on public.users (clerk_id);'
from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
where c.oid = to_regclass('public.users') and a.attname = 'clerk_id' and c.relkind = 'r'
  and not exists (
    select from pg_catalog.pg_index i
    where i.indrelid = c.oid and i.indkey[0] = a.attnum and i.indisvalid)
union all
-- Policies add up: one of the team's own may show more than ours does, now that signed-in users may
-- read the table. One by auth.uid() fails for each row, since Clerk's ids are no uuid.
select format(case when condition ~ 'auth\.uid\(' then E'The policy %1$I on subscriptions asks for '
      'auth.uid(), which fails under Clerk''s tokens (22P02), also on one''s own rows. Ours lets '
      'signed-in users read their own. Without it they can:\n'
    else E'The policy %1$I on subscriptions is your own: whoever meets its condition reads the '
      'row, beside its owner: %2$s. If that is more than you want:\n' end
  || 'drop policy %1$I on public.subscriptions;', polname, replace(condition, ';', ','))
from pg_catalog.pg_policy, pg_get_expr(polqual, polrelid) as condition
where polrelid = 'public.subscriptions'::regclass and polcmd in ('r', '*')
  and polname <> 'Signed-in users read their own subscriptions'
  and polroles && array[0::oid, 'authenticated'::regrole::oid]
  and (polpermissive or condition ~ 'auth\.uid\(');

-- Where else do ids of Stripe's and Clerk's stand? The first rows of each table of the team's are
-- looked at. A payer is known once billing_customers, or a row of subscriptions, has the customer.
create temp table billing_ids (relation regclass, place text, name text, kind text) on commit drop;
do $$
declare
  item record;
  found text;
begin
  for item in
    select c.oid::regclass as relation, format('%I.%I', s.nspname, c.relname) as place,
      a.attname as name
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'm')
    join pg_catalog.pg_namespace s on s.oid = c.relnamespace
    join pg_catalog.pg_type t on t.oid = a.atttypid
      and (t.typcategory = 'S' or t.typname in ('json', 'jsonb'))
    where a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      and s.nspname !~ '^(pg_.*|information_schema|auth|storage|realtime|vault|extensions|cron|net'
        '|graphql.*|supabase_.*)$' and s.nspname <> 'billing_private'
      and c.oid not in ('public.billing_customers'::regclass, 'public.gone_customers'::regclass)
      and (c.oid <> 'public.subscriptions'::regclass or a.attname not in (
        'stripe_subscription_id', 'stripe_customer_id', 'clerk_owner_id', 'items'))
      and has_table_privilege(c.oid, 'select')
  loop
    execute format($query$
      select max(kind) from (select %1$I::text as id from %2$s limit 10000) as sample,
        coalesce(substring(sample.id from '^(cus|sub|user|org)_[A-Za-z0-9]+$'),
          substring(sample.id from '^{.*"(cus_)[A-Za-z0-9]+"')) as kind
      where kind is not null and not (kind = 'sub' and exists (
          select from public.subscriptions s where s.stripe_subscription_id = sample.id))
        and not (kind = 'cus' and (
          exists (select from public.billing_customers c where c.stripe_customer_id = sample.id)
          or exists (select from public.subscriptions s where s.stripe_customer_id = sample.id
                     and (s.user_id is not null or s.clerk_owner_id is not null))))
      $query$, item.name, item.place) into found;
    insert into pg_temp.billing_ids
    select item.relation, item.place, item.name, kind
    from coalesce(found, case when item.name ~* '^clerk_?(user_?)?id$' then 'user' end) as kind
    where kind is not null;
  end loop;
end
$$;

insert into pg_temp.billing_says
select format(E'%s''s ids stand in subscriptions.%I too. This takes them over:\n'
  'update public.subscriptions set %3$I = %2$I where %3$I is null and %2$I ~ %4$L;', ours.of, name,
  ours.column, ours.pattern)
from pg_temp.billing_ids
join (values
  ('cus', 'Stripe', 'stripe_customer_id', '^cus_'),
  ('sub', 'Stripe', 'stripe_subscription_id', '^sub_'),
  ('user', 'Clerk', 'clerk_owner_id', '^(user|org)_'),
  ('org', 'Clerk', 'clerk_owner_id', '^(user|org)_')
) as ours (kind, of, "column", pattern) using (kind)
where relation = 'public.subscriptions'::regclass and (ours.of = 'Stripe' or name <> 'user_id'
  and name ~* 'clerk|^user|^owner|^org|^account'
  and exists (select from public.subscriptions where clerk_owner_id is null));

insert into pg_temp.billing_says
select distinct on (payer.place, payer.name) format(E'Stripe''s customers stand in %s.%I: who is '
  'unknown here could buy again. This takes them over (with false, not true, for test mode):\n'
  'insert into public.billing_customers (clerk_owner_id, livemode, stripe_customer_id) '
  'select distinct on (%3$s) %3$s, true, payer.%2$I from %1$s payer%4$s '
  'where payer.%2$I ~ ''^cus_'' and %3$s is not null on conflict do nothing;',
  payer.place, payer.name, clerk_id, joined)
from pg_temp.billing_ids payer
cross join lateral (
  select format('payer.%I', o.name) as clerk_id, '' as joined, 1 as nearness, o.name as by, o.name
  from pg_temp.billing_ids o where o.relation = payer.relation and o.kind in ('user', 'org')
  union all
  select format('owner.%I', o.name), format(' join %s owner on owner.%I = payer.%I', o.place,
    theirs.attname, ours.attname), 2, ours.attname, o.name
  from pg_catalog.pg_attribute ours
  join pg_temp.billing_ids o on o.kind in ('user', 'org') and o.relation <> payer.relation
  join pg_catalog.pg_attribute theirs on theirs.attrelid = o.relation
    and theirs.atttypid = ours.atttypid and theirs.attnum > 0
  where ours.attrelid = payer.relation and ours.attnum > 0 and (exists (
      select from pg_catalog.pg_constraint k where k.conrelid = payer.relation
        and k.confrelid = o.relation and k.conkey = array[ours.attnum]
        and k.confkey = array[theirs.attnum])
    -- where no foreign key says so, names do
    or o.relation = to_regclass('public.users') and theirs.attname = 'id'
      and ours.attname ~* '^(id|(user|owner|account)_?id)$')
) as owner (clerk_id, joined, nearness, by, clerk)
where payer.kind = 'cus' and payer.relation <> 'public.subscriptions'::regclass
-- not who invited the payer, or who wrote the entry
order by payer.place, payer.name, nearness, clerk !~* 'clerk|^user_?id$|^id$',
  by !~* 'clerk|^user|^owner|^account|^org', by <> 'id', by, clerk;

insert into pg_temp.billing_says
select 'Stripe''s customers stand here too, and nothing tells whose they are in Clerk: '
  || string_agg(format('%s.%I', place, name), ', ' order by place, name)
from pg_temp.billing_ids payer
where kind like 'cus%' and relation <> 'public.subscriptions'::regclass and not exists (
  select from pg_temp.billing_says
  where told like format('Stripe''s customers stand in %s.%I:%%', payer.place, payer.name))
having count(*) > 0;

-- The users of subscriptions.user_id by another name than users.
insert into pg_temp.billing_says
select format(E'subscriptions.user_id points to %1$s.%2$I, and billing_user_id(text) looks '
  'elsewhere. This tells it:\ncreate or replace function public.billing_user_id(clerk_id text) '
  'returns text language sql stable security definer set search_path = '''' as $$ select '
  || case when o.name = theirs.attname then 'billing_user_id.clerk_id'
    else 'u.%2$I::text from %1$s u where u.%3$I::text = billing_user_id.clerk_id' end || ' $$;',
  o.place, theirs.attname, o.name)
from pg_catalog.pg_constraint k
join pg_catalog.pg_attribute ours on ours.attrelid = k.conrelid and array[ours.attnum] = k.conkey
join pg_catalog.pg_attribute theirs
  on theirs.attrelid = k.confrelid and array[theirs.attnum] = k.confkey
join pg_temp.billing_ids o on o.relation = k.confrelid and o.kind = 'user'
join pg_catalog.pg_proc p on p.oid = 'public.billing_user_id(text)'::regprocedure
where k.conrelid = 'public.subscriptions'::regclass and ours.attname = 'user_id'
  and p.prosrc ~ 'public\.users u\s' and (
    o.name = theirs.attname or k.confrelid is distinct from to_regclass('public.users')
    or not exists (select from pg_catalog.pg_attribute
      where attrelid = k.confrelid and attname = 'clerk_id'));

do $$
declare
  item record;
begin
  delete from billing_private.notices
  where source = 'billing' and notice not in (select told from pg_temp.billing_says);
  set local client_min_messages = notice;
  for item in select distinct told from pg_temp.billing_says loop
    raise notice '%', item.told;
    insert into billing_private.notices (source, notice) values ('billing', item.told)
    on conflict do nothing;
  end loop;
end
$$;

commit;

select notice from public.billing_notices();
