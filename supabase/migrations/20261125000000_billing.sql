-- Billing: who has which Stripe customer, and what Stripe last said about each subscription.
--
-- For a new project and for one that already has a `subscriptions` table, which keeps its rows,
-- its own columns and the type of its user_id. Running it again does no harm. Read the notices:
-- they tell what was found and what needs a decision of yours.

begin;

-- An upgrade waits for whoever uses the table, and everybody else then waits for it: not for long.
set local lock_timeout = '15s';

do $$
declare
  missing text;
  kind "char";
begin
  select string_agg(role, ', ') into missing
  from unnest(array['anon', 'authenticated', 'service_role']) as role
  where not exists (select from pg_catalog.pg_roles where rolname = role);
  if missing is not null then
    raise exception 'This migration is for a Supabase database: it has no role %.', missing;
  end if;

  select relkind into kind from pg_catalog.pg_class
  where oid = to_regclass('public.subscriptions');
  if kind not in ('r', 'p') then
    raise exception 'public.subscriptions exists and is not a table: rename it first.';
  end if;

  if to_regclass('public.billing_customers') is not null and 3 <> (
    select count(*) from pg_catalog.pg_attribute
    where attrelid = to_regclass('public.billing_customers') and not attisdropped
      and attname in ('clerk_user_id', 'livemode', 'stripe_customer_id')
  ) then
    raise exception 'public.billing_customers exists and is not ours: rename it first.';
  end if;
end
$$;

-- Postgres' own "already exists" would bury our notices.
set local client_min_messages = warning;


-- Tables ------------------------------------------------------------------------------------------

-- One sequence numbers every accepted write of every row, so that a row that was deleted and made
-- again never shows a revision that somebody has read before.
create sequence if not exists public.subscriptions_revision_seq as bigint;

-- user_id is what the app calls its user, in the app's own type where the table is older than this
-- file. as_of is the moment on Stripe's clock that the row describes.
create table if not exists public.subscriptions (
  stripe_subscription_id text primary key,
  user_id text,
  stripe_customer_id text,
  status text,
  plan text,
  price_id text,
  product_id text,
  quantity integer,
  collection_method text,
  current_period_end timestamptz,
  cancel_at timestamptz,
  canceled_at timestamptz,
  trial_end timestamptz,
  ended_at timestamptz,
  pause_resumes_at timestamptz,
  cancel_at_period_end boolean,
  pause_collection text,
  paused_reason text,
  livemode boolean,
  as_of timestamptz,
  revision bigint not null default nextval('public.subscriptions_revision_seq'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Who pays, known before the first subscription. Clerk's id is the one identity Stripe carries.
create table if not exists public.billing_customers (
  clerk_user_id text not null check (clerk_user_id <> ''),
  livemode boolean not null,
  stripe_customer_id text not null unique check (stripe_customer_id <> ''),
  primary key (clerk_user_id, livemode)
);


-- An existing table -------------------------------------------------------------------------------

-- Old rows get a revision at once. Their as_of stays null, so that their next event asks Stripe.
alter table public.subscriptions
  add column if not exists stripe_subscription_id text,
  add column if not exists user_id text,
  add column if not exists stripe_customer_id text,
  add column if not exists status text,
  add column if not exists plan text,
  add column if not exists price_id text,
  add column if not exists product_id text,
  add column if not exists quantity integer,
  add column if not exists collection_method text,
  add column if not exists current_period_end timestamptz,
  add column if not exists cancel_at timestamptz,
  add column if not exists canceled_at timestamptz,
  add column if not exists trial_end timestamptz,
  add column if not exists ended_at timestamptz,
  add column if not exists pause_resumes_at timestamptz,
  add column if not exists cancel_at_period_end boolean,
  add column if not exists pause_collection text,
  add column if not exists paused_reason text,
  add column if not exists livemode boolean,
  add column if not exists as_of timestamptz,
  add column if not exists revision bigint
    not null default nextval('public.subscriptions_revision_seq'),
  add column if not exists created_at timestamptz,
  add column if not exists updated_at timestamptz;
alter sequence public.subscriptions_revision_seq owned by public.subscriptions.revision;

set local client_min_messages = notice;

-- Columns of ours that have a type which cannot hold what Stripe says.
do $$
declare
  unfit text;
  item record;
begin
  select string_agg(format('%I is %s and has to be %s', attname, type, wanted), '; ') into unfit
  from (
    select a.attname, format_type(a.atttypid, a.atttypmod) as type, own.wanted
    from (values
      ('stripe_subscription_id', 'S', 'text'), ('stripe_customer_id', 'S', 'text'),
      ('status', 'SE', 'text'), ('plan', 'SE', 'text'), ('price_id', 'S', 'text'),
      ('product_id', 'S', 'text'), ('quantity', 'N', 'integer'),
      ('collection_method', 'SE', 'text'), ('current_period_end', 'D', 'timestamptz'),
      ('cancel_at', 'D', 'timestamptz'), ('canceled_at', 'D', 'timestamptz'),
      ('trial_end', 'D', 'timestamptz'), ('ended_at', 'D', 'timestamptz'),
      ('pause_resumes_at', 'D', 'timestamptz'), ('cancel_at_period_end', 'B', 'boolean'),
      ('pause_collection', 'SE', 'text'), ('paused_reason', 'SE', 'text'),
      ('livemode', 'B', 'boolean'), ('as_of', 'D', 'timestamptz'), ('revision', 'N', 'bigint'),
      ('created_at', 'D', 'timestamptz'), ('updated_at', 'D', 'timestamptz')
    ) as own (name, categories, wanted)
    join pg_catalog.pg_attribute a
      on a.attrelid = 'public.subscriptions'::regclass and a.attname = own.name
    join pg_catalog.pg_type t on t.oid = a.atttypid
    where strpos(own.categories, t.typcategory::text) = 0
  ) as columns;
  if unfit is not null then
    raise exception 'Columns of public.subscriptions have a type that does not fit: %.', unfit
      using hint = 'Change it (alter table … alter column … type … using …) and run again.';
  end if;

  -- A time without a zone reads as local time in every browser. Supabase's clock is UTC.
  for item in
    select a.attname, format_type(a.atttypid, a.atttypmod) as type
    from pg_catalog.pg_attribute a
    where a.attrelid = 'public.subscriptions'::regclass
      and a.atttypid in ('timestamp'::regtype, 'date'::regtype)
      and a.attname in ('current_period_end', 'cancel_at', 'canceled_at', 'trial_end', 'ended_at',
                        'pause_resumes_at', 'as_of', 'created_at', 'updated_at')
  loop
    begin
      execute format(
        'alter table public.subscriptions alter column %1$I type timestamptz '
        'using %1$I::timestamp at time zone ''UTC''', item.attname);
      raise notice 'subscriptions.% was % and is timestamp with time zone now, read as UTC.',
        item.attname, item.type;
    exception when feature_not_supported then  -- a view or a rule uses it
      raise notice 'subscriptions.% is %, in UTC; it could not be given a time zone: %.',
        item.attname, item.type, sqlerrm;
    end;
  end loop;
end
$$;

-- What keeps a second subscription of a user, or one of a user not known yet, from being stored.
do $$
declare
  item record;
begin
  for item in
    select i.indexrelid::regclass::text as index, i.indisprimary, c.conname, keys.list
    from pg_catalog.pg_index i
    left join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid
    cross join lateral (
      select
        array_agg(pg_get_indexdef(i.indexrelid, n, true)) as list,
        bool_and(pg_get_indexdef(i.indexrelid, n, true) ~ (
          '\m(user_id|stripe_customer_id|status|plan|price_id|product_id|livemode'
          '|cancel_at_period_end|current_period_end)\M')) as ours,
        bool_or(pg_get_indexdef(i.indexrelid, n, true) ~ '\m(user_id|stripe_customer_id)\M')
          as of_a_buyer
      from generate_series(1, i.indnkeyatts) as n
    ) as keys
    where i.indrelid = 'public.subscriptions'::regclass and i.indisunique and keys.of_a_buyer
      and (keys.ours or i.indisprimary)
  loop
    if item.conname is null then
      execute format('drop index %s', item.index);
    else
      execute format('alter table public.subscriptions drop constraint %I', item.conname);
    end if;
    raise notice 'Dropped % %, which was on (%): a user can have several subscriptions.',
      case when item.indisprimary then 'the primary key' else 'the unique' end,
      coalesce(item.conname, item.index), array_to_string(item.list, ', ');
    if item.indisprimary then
      -- Without a key, Realtime's publication would refuse every update.
      alter table public.subscriptions replica identity full;
      raise notice 'subscriptions has no primary key now. If no row lacks its '
        'stripe_subscription_id, that column can be it.';
    end if;
  end loop;

  for item in
    select a.attname from pg_catalog.pg_attribute a
    where a.attrelid = 'public.subscriptions'::regclass and a.attnotnull and a.attname in (
      'user_id', 'stripe_customer_id', 'status', 'plan', 'price_id', 'product_id', 'quantity',
      'collection_method', 'current_period_end', 'cancel_at', 'canceled_at', 'trial_end',
      'ended_at', 'pause_resumes_at', 'cancel_at_period_end', 'pause_collection',
      'paused_reason', 'livemode', 'as_of')
  loop
    execute format(
      'alter table public.subscriptions alter column %I drop not null', item.attname);
    raise notice 'subscriptions.% may be null now: Stripe may leave it empty.', item.attname;
  end loop;
end
$$;

-- Writes find their row by Stripe's id: `on conflict` wants a unique index on it that is whole, and
-- fails where there is a deferrable one.
do $$
declare
  duplicates text;
  item record;
begin
  select string_agg(format('%L (%s rows)', id, rows), ', ' order by id) into duplicates
  from (
    select stripe_subscription_id::text as id, count(*) as rows
    from public.subscriptions
    where stripe_subscription_id is not null
    group by 1 having count(*) > 1
    order by 1 limit 50
  ) as repeated;
  if duplicates is not null then
    raise exception 'public.subscriptions holds subscriptions more than once: %.', duplicates
      using hint = 'Keep one row of each and run again.';
  end if;

  for item in
    select c.conname, case c.contype when 'p' then 'primary key' else 'unique' end as kind
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and array[a.attnum] = c.conkey
    where c.conrelid = 'public.subscriptions'::regclass and c.contype in ('p', 'u')
      and c.condeferrable and a.attname = 'stripe_subscription_id'
  loop
    execute format('alter table public.subscriptions drop constraint %1$I, '
      'add constraint %1$I %2$s (stripe_subscription_id)', item.conname, item.kind);
    raise notice 'The constraint % was deferrable and is not any more.', item.conname;
  end loop;

  if not exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.subscriptions'::regclass
      and a.attname = 'stripe_subscription_id' and i.indnkeyatts = 1
      and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null
  ) then
    create unique index on public.subscriptions (stripe_subscription_id);
  end if;
end
$$;

-- A column `revision` of the team's own, or one ahead of its sequence after a restore.
do $$
declare
  given bigint;
  highest bigint;
begin
  if not exists (
    select from pg_catalog.pg_attrdef d
    join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    where d.adrelid = 'public.subscriptions'::regclass and a.attname = 'revision'
      and pg_get_expr(d.adbin, d.adrelid) ~ 'subscriptions_revision_seq'
  ) then
    alter table public.subscriptions
      alter column revision type bigint,
      alter column revision set default nextval('public.subscriptions_revision_seq');
    update public.subscriptions set revision = nextval('public.subscriptions_revision_seq');
    alter table public.subscriptions alter column revision set not null;
    raise notice 'subscriptions.revision was a column of your own: its values were replaced.';
  end if;

  select last_value into given from public.subscriptions_revision_seq;
  select max(revision) into highest from public.subscriptions;
  if highest > given then
    perform setval('public.subscriptions_revision_seq', highest);
  end if;
end
$$;

-- What is the team's own and may refuse a write later: named here, never changed.
do $$
declare
  statuses constant text[] := array['active', 'trialing', 'past_due', 'unpaid', 'canceled',
    'incomplete', 'incomplete_expired', 'paused'];
  item record;
  candidate text;
  refuses boolean;
  refused text[];
begin
  -- An enum or a domain: a value that it cannot hold is one that it refuses.
  for item in
    select a.attname, format_type(a.atttypid, a.atttypmod) as type
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    where a.attrelid = 'public.subscriptions'::regclass and a.attname in ('status', 'plan')
      and t.typtype in ('e', 'd')
  loop
    refused := '{}';
    foreach candidate in array
      case item.attname when 'status' then statuses else array['a plan of yours'] end
    loop
      begin
        execute format('select %L::%s', candidate, item.type);
      exception when others then
        refused := refused || candidate;
      end;
    end loop;
    if refused <> '{}' and item.attname = 'status' then
      raise notice 'The type % of subscriptions.status refuses %: such a subscription cannot be '
        'stored.', item.type, array_to_string(refused, ', ');
    elsif refused <> '{}' then
      raise notice 'The type % of subscriptions.plan refuses what it does not list: it has to '
        'know every plan of STRIPE_PLANS.', item.type;
    end if;
  end loop;

  -- A check: asked with each value.
  for item in
    select a.attname, format_type(a.atttypid, a.atttypmod) as type, c.conname,
           pg_get_constraintdef(c.oid) as definition, pg_get_expr(c.conbin, c.conrelid) as condition
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
    where c.conrelid = 'public.subscriptions'::regclass and c.contype = 'c'
      and a.attname in ('status', 'plan')
  loop
    refused := '{}';
    foreach candidate in array
      case item.attname when 'status' then statuses else array['a plan of yours', null] end
    loop
      begin
        execute format('select (%s) is false from (select %L::%s as %I) as one',
          item.condition, candidate, item.type, item.attname) into refuses;
        if refuses then
          refused := refused || candidate;
        end if;
      exception
        when data_exception or integrity_constraint_violation then
          null;  -- the type refuses it, which was said above
        when others then  -- it is about several columns, or calls what fails here
          refused := refused || candidate;
      end;
    end loop;
    if refused <> '{}' and item.attname = 'status' then
      raise notice 'The constraint % may refuse % in subscriptions.status: such a subscription '
        'cannot be stored. %', item.conname, array_to_string(refused, ', '), item.definition;
    elsif refused <> '{}' then
      raise notice 'The constraint % restricts subscriptions.plan: it has to allow every plan of '
        'STRIPE_PLANS, and null. %', item.conname, item.definition;
    end if;
  end loop;

  for item in
    select i.indexrelid::regclass as index, pg_get_indexdef(i.indexrelid) as definition
    from pg_catalog.pg_index i
    where i.indrelid = 'public.subscriptions'::regclass and i.indisunique
      and pg_get_indexdef(i.indexrelid) ~ '\m(user_id|stripe_customer_id)\M'
      and pg_get_indexdef(i.indexrelid) !~ '\mstripe_subscription_id\M'
  loop
    raise notice 'The unique % may refuse the second subscription of a user: %',
      item.index, item.definition;
  end loop;

  for item in
    select a.attname from pg_catalog.pg_attribute a
    where a.attrelid = 'public.subscriptions'::regclass and a.attnum > 0 and not a.attisdropped
      and a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
      and a.attname not in ('stripe_subscription_id', 'created_at', 'updated_at')
  loop
    raise notice 'subscriptions.% is your own, not null and without a default: no new '
      'subscription can be stored, unless a trigger fills it.', item.attname;
  end loop;

  for item in
    select c.conname, c.confrelid::regclass as parent
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
    where c.conrelid = 'public.subscriptions'::regclass and c.contype = 'f'
      and a.attname = 'user_id' and c.confdeltype in ('a', 'r')
  loop
    raise notice 'The foreign key % keeps your app from deleting a row of % that has a '
      'subscription: give it `on delete set null`.', item.conname, item.parent;
  end loop;
end
$$;


-- Indexes -----------------------------------------------------------------------------------------

-- Identifiers are compared as text, whatever type the app's own has.
set local client_min_messages = warning;
create index if not exists subscriptions_user_id_text_idx
  on public.subscriptions ((user_id::text));
create index if not exists subscriptions_stripe_customer_id_idx
  on public.subscriptions (stripe_customer_id);
set local client_min_messages = notice;


-- Whose row ---------------------------------------------------------------------------------------

-- The one place that knows the app's tables: Clerk's id -> what the app calls this user, or null.
-- Created only where it is absent, so that your own survives the next run. An app that keys its
-- data by Clerk's id replaces the body by `select clerk_user_id`; one with other names, the names.
-- Keep it `security definer` with qualified names: the service role need not read your users.
do $$
declare
  id_type text;
begin
  if to_regprocedure('public.billing_user_id(text)') is not null then
    raise notice 'billing_user_id(text) was there already and stays as it is.';
    return;
  end if;

  create function public.billing_user_id(clerk_user_id text) returns text
  language plpgsql stable security definer set search_path = ''
  as $body$
  begin
    return (
      select u.id::text from public.users u
      where u.clerk_id::text = billing_user_id.clerk_user_id
      order by 1 limit 1
    );
  exception when undefined_table or undefined_column then
    return null;
  end
  $body$;

  select format_type(id.atttypid, id.atttypmod) into id_type
  from pg_catalog.pg_attribute id
  join pg_catalog.pg_attribute clerk_id using (attrelid)
  where attrelid = to_regclass('public.users')
    and id.attname = 'id' and clerk_id.attname = 'clerk_id';
  if id_type is not null then
    raise notice 'billing_user_id(text) finds your users by public.users.clerk_id: '
      'user_id will be public.users.id (%).', id_type;
  elsif to_regclass('public.users') is not null then
    raise notice 'public.users has no columns id and clerk_id: subscriptions will have no user_id '
      'until you give billing_user_id(text) the names of your own.';
  else
    raise notice 'There is no table public.users: subscriptions will have no user_id '
      'until billing_user_id(text) knows where your users are.';
  end if;
end
$$;


-- What the service calls --------------------------------------------------------------------------
--
-- They run with the rights of the service role. Their own names are all qualified; the search_path
-- is for a billing_user_id of your own that does not qualify its names. A column of your own named
-- like one of their variables does not disturb them: every column is written with its table.

-- Everything that is known about a caller, in one round trip. A row that nobody has claimed yet is
-- found by its customer; one whose livemode is null is older than that column and counts in both.
create or replace function public.billing_account(clerk_user_id text, livemode boolean)
returns jsonb
language plpgsql stable set search_path = public
as $$
#variable_conflict use_variable
declare
  app_user_id text := public.billing_user_id(billing_account.clerk_user_id);
  customer text := (
    select c.stripe_customer_id from public.billing_customers c
    where c.clerk_user_id = billing_account.clerk_user_id
      and c.livemode = billing_account.livemode
  );
begin
  return jsonb_build_object(
    'user_id', app_user_id,
    'stripe_customer_id', customer,
    'subscriptions', coalesce((
      select jsonb_agg(to_jsonb(s) order by s.revision)
      from public.subscriptions s
      where (s.user_id::text = app_user_id or s.stripe_customer_id = customer)
        and (s.livemode = billing_account.livemode or s.livemode is null)
    ), '[]')
  );
end
$$;

-- A customer that belongs to another Clerk id already violates the unique constraint: an error,
-- never a move.
create or replace function public.link_customer(
  clerk_user_id text, livemode boolean, stripe_customer_id text
) returns void
language sql set search_path = public
as $$
  insert into public.billing_customers (clerk_user_id, livemode, stripe_customer_id)
  values (link_customer.clerk_user_id, link_customer.livemode, link_customer.stripe_customer_id)
  on conflict (clerk_user_id, livemode)
  do update set stripe_customer_id = excluded.stripe_customer_id;
$$;

-- The only writer of what Stripe says. It runs exactly one of three statements:
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
  subscription jsonb, clerk_user_id text default null, expected_revision bigint default null
) returns setof public.subscriptions
language plpgsql set search_path = public
as $$
#variable_conflict use_variable
declare
  -- As a row of the table, so that each value has its column's own type, an enum too.
  said public.subscriptions := jsonb_populate_record(
    null::public.subscriptions, upsert_subscription.subscription);
  written public.subscriptions;
  linked public.subscriptions;
  buyer text := nullif(upsert_subscription.clerk_user_id, '');
  linked_buyer text;
  owner text;
begin
  if coalesce(said.stripe_subscription_id, '') = '' then
    raise null_value_not_allowed using message = 'a subscription needs its stripe_subscription_id';
  end if;

  if upsert_subscription.expected_revision is null then
    update public.subscriptions s set
      (stripe_customer_id, status, plan, price_id, product_id, quantity, collection_method,
       current_period_end, cancel_at, canceled_at, trial_end, ended_at, pause_resumes_at,
       cancel_at_period_end, pause_collection, paused_reason, livemode) =
      (said.stripe_customer_id, said.status, said.plan, said.price_id, said.product_id,
       said.quantity, said.collection_method, said.current_period_end, said.cancel_at,
       said.canceled_at, said.trial_end, said.ended_at, said.pause_resumes_at,
       said.cancel_at_period_end, said.pause_collection, said.paused_reason, said.livemode),
      as_of = said.as_of,
      revision = nextval('public.subscriptions_revision_seq'),
      updated_at = case when
        (s.stripe_customer_id, s.status, s.plan, s.price_id, s.product_id, s.quantity,
         s.collection_method, s.current_period_end, s.cancel_at, s.canceled_at, s.trial_end,
         s.ended_at, s.pause_resumes_at, s.cancel_at_period_end, s.pause_collection,
         s.paused_reason, s.livemode) is distinct from
        (said.stripe_customer_id, said.status, said.plan, said.price_id, said.product_id,
         said.quantity, said.collection_method, said.current_period_end, said.cancel_at,
         said.canceled_at, said.trial_end, said.ended_at, said.pause_resumes_at,
         said.cancel_at_period_end, said.pause_collection, said.paused_reason, said.livemode)
        then now() else s.updated_at end
    where s.stripe_subscription_id = said.stripe_subscription_id
      and s.as_of <= said.as_of - interval '60 seconds'
    returning s.* into written;

  elsif upsert_subscription.expected_revision = 0 then
    insert into public.subscriptions as s
      (stripe_subscription_id, stripe_customer_id, status, plan, price_id, product_id, quantity,
       collection_method, current_period_end, cancel_at, canceled_at, trial_end, ended_at,
       pause_resumes_at, cancel_at_period_end, pause_collection, paused_reason, livemode,
       as_of, revision, created_at, updated_at)
    values
      (said.stripe_subscription_id, said.stripe_customer_id, said.status, said.plan,
       said.price_id, said.product_id, said.quantity, said.collection_method,
       said.current_period_end, said.cancel_at, said.canceled_at, said.trial_end, said.ended_at,
       said.pause_resumes_at, said.cancel_at_period_end, said.pause_collection,
       said.paused_reason, said.livemode,
       said.as_of, nextval('public.subscriptions_revision_seq'), now(), now())
    on conflict (stripe_subscription_id) do nothing
    returning s.* into written;

  else
    update public.subscriptions s set
      (stripe_customer_id, status, plan, price_id, product_id, quantity, collection_method,
       current_period_end, cancel_at, canceled_at, trial_end, ended_at, pause_resumes_at,
       cancel_at_period_end, pause_collection, paused_reason, livemode) =
      (said.stripe_customer_id, said.status, said.plan, said.price_id, said.product_id,
       said.quantity, said.collection_method, said.current_period_end, said.cancel_at,
       said.canceled_at, said.trial_end, said.ended_at, said.pause_resumes_at,
       said.cancel_at_period_end, said.pause_collection, said.paused_reason, said.livemode),
      as_of = said.as_of,
      revision = nextval('public.subscriptions_revision_seq'),
      updated_at = case when
        (s.stripe_customer_id, s.status, s.plan, s.price_id, s.product_id, s.quantity,
         s.collection_method, s.current_period_end, s.cancel_at, s.canceled_at, s.trial_end,
         s.ended_at, s.pause_resumes_at, s.cancel_at_period_end, s.pause_collection,
         s.paused_reason, s.livemode) is distinct from
        (said.stripe_customer_id, said.status, said.plan, said.price_id, said.product_id,
         said.quantity, said.collection_method, said.current_period_end, said.cancel_at,
         said.canceled_at, said.trial_end, said.ended_at, said.pause_resumes_at,
         said.cancel_at_period_end, said.pause_collection, said.paused_reason, said.livemode)
        then now() else s.updated_at end
    where s.stripe_subscription_id = said.stripe_subscription_id
      and s.revision = upsert_subscription.expected_revision
    returning s.* into written;
  end if;

  if not found then
    return;
  end if;

  -- Whose row: its own user_id; else the user of the Clerk id that is linked to its customer; else
  -- the user of another row of the customer; else that of the Clerk id in Stripe's metadata, which
  -- says nothing about a customer that is somebody's already.
  select c.clerk_user_id into linked_buyer
  from public.billing_customers c where c.stripe_customer_id = written.stripe_customer_id;

  if linked_buyer is null and buyer is not null and not exists (
    select from public.subscriptions s
    where s.stripe_customer_id = written.stripe_customer_id
      and s.user_id::text <> coalesce(public.billing_user_id(buyer)::text, '')
  ) then
    -- Kept also when the app does not know its user yet. Where two subscriptions of a new customer
    -- come at once, the second waits here for the first, and then reads what that one kept.
    insert into public.billing_customers (clerk_user_id, livemode, stripe_customer_id)
    select buyer, written.livemode, written.stripe_customer_id
    where written.livemode is not null and written.stripe_customer_id <> ''
    on conflict do nothing;

    select c.clerk_user_id into linked_buyer
    from public.billing_customers c where c.stripe_customer_id = written.stripe_customer_id;
  end if;

  if linked_buyer is not null then
    owner := public.billing_user_id(linked_buyer)::text;
  end if;
  if owner is null then
    select s.user_id::text into owner from public.subscriptions s
    where s.stripe_customer_id = written.stripe_customer_id and s.user_id is not null
    order by s.created_at, s.revision limit 1;
  end if;
  if owner is null and linked_buyer is null and buyer is not null then
    owner := public.billing_user_id(buyer)::text;
  end if;

  if buyer <> linked_buyer or (
    linked_buyer is null and buyer is not null
    and owner <> coalesce(public.billing_user_id(buyer)::text, '')
  ) then
    raise warning 'subscription % names the Clerk user %, but its customer % is of %: it stays so',
      written.stripe_subscription_id, buyer, written.stripe_customer_id,
      coalesce(linked_buyer, 'user ' || owner);
  end if;

  -- A link once made is never nulled or moved: only rows without one get it. That is no word of
  -- Stripe's, so revision and as_of stay. Of the customer's other rows, one that somebody else is
  -- writing is passed over, since waiting for it could deadlock; its own next write claims it.
  if owner is not null and (written.user_id is null or exists (
    select from public.subscriptions s
    where s.stripe_customer_id = written.stripe_customer_id and s.user_id is null
  )) then
    begin
      linked := jsonb_populate_record(
        null::public.subscriptions, jsonb_build_object('user_id', owner));
      update public.subscriptions s set user_id = linked.user_id
      where s.stripe_subscription_id = written.stripe_subscription_id and s.user_id is null;
      update public.subscriptions s set user_id = linked.user_id
      where s.stripe_customer_id = written.stripe_customer_id and s.user_id is null
        and s.ctid = any (array(
          select other.ctid from public.subscriptions other
          where other.stripe_customer_id = written.stripe_customer_id and other.user_id is null
          for update skip locked
        ));
    exception when data_exception or integrity_constraint_violation then
      -- The app's own id does not fit the column's type or its foreign key. Better no link than a
      -- payment that cannot be stored: the customer finds the row anyway.
      raise warning 'subscription % is stored without its user %: %',
        written.stripe_subscription_id, owner, sqlerrm;
    end;
    select s.* into written from public.subscriptions s
    where s.stripe_subscription_id = written.stripe_subscription_id;
  end if;

  return next written;
end
$$;


-- Row level security ------------------------------------------------------------------------------

-- Whom a signed-in reader is, from the `sub` of Clerk's token. Security definer, so that they work
-- whatever the policies of the app's own tables are.
create or replace function public.billing_reader_user_id() returns text
language sql stable security definer set search_path = ''
as $$
  select public.billing_user_id(
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::text;
$$;

create or replace function public.billing_reader_customers() returns text[]
language sql stable security definer set search_path = ''
as $$
  select array_agg(c.stripe_customer_id) from public.billing_customers c
  where c.clerk_user_id = nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub';
$$;

set local client_min_messages = warning;

alter table public.subscriptions enable row level security;
alter table public.billing_customers enable row level security;

-- The subselects make Postgres ask once for each query, not once for each row.
drop policy if exists "Signed-in users read their own subscriptions" on public.subscriptions;
create policy "Signed-in users read their own subscriptions" on public.subscriptions
  for select to authenticated
  using (
    user_id::text = (select public.billing_reader_user_id())
    or stripe_customer_id = any ((select public.billing_reader_customers())::text[])
  );

-- Policies add up: one of the team's own may show more than ours does, now that signed-in users may
-- read the table.
set local client_min_messages = notice;
do $$
declare
  item record;
begin
  for item in
    select polname, pg_get_expr(polqual, polrelid) as condition
    from pg_catalog.pg_policy
    where polrelid = 'public.subscriptions'::regclass
      and polname <> 'Signed-in users read their own subscriptions'
      and polpermissive and polcmd in ('r', '*')
      and polroles && array[0::oid, 'authenticated'::regrole::oid, 'anon'::regrole::oid]
  loop
    raise notice 'The policy "%" on subscriptions is your own: whoever meets its condition reads '
      'the row, beside its owner: %. Drop it if that is more than you want.',
      item.polname, item.condition;
  end loop;
end
$$;


-- Grants ------------------------------------------------------------------------------------------

-- A new project grants nothing that is needed, and leaves TRUNCATE on tables, UPDATE on sequences
-- and, for everyone, EXECUTE on functions. Nobody but the service role writes.
revoke all on table public.subscriptions, public.billing_customers
  from public, anon, authenticated;
grant select, insert, update, delete on table public.subscriptions, public.billing_customers
  to service_role;
grant select on table public.subscriptions to authenticated;

revoke all on function
  public.billing_user_id(text),
  public.billing_account(text, boolean),
  public.link_customer(text, boolean, text),
  public.upsert_subscription(jsonb, text, bigint),
  public.billing_reader_user_id(),
  public.billing_reader_customers()
  from public, anon, authenticated;
grant execute on function
  public.billing_user_id(text),
  public.billing_account(text, boolean),
  public.link_customer(text, boolean, text),
  public.upsert_subscription(jsonb, text, bigint)
  to service_role;
grant execute on function
  public.billing_reader_user_id(),
  public.billing_reader_customers()
  to authenticated;

-- revision's sequence, and that of a serial id in an older table.
do $$
declare
  name text;
begin
  for name in
    select distinct seq.oid::regclass::text
    from pg_catalog.pg_class seq
    join pg_catalog.pg_depend d on seq.oid in (d.objid, d.refobjid)
    left join pg_catalog.pg_attrdef def
      on d.classid = 'pg_attrdef'::regclass and def.oid = d.objid
    where seq.relkind = 'S'
      and 'public.subscriptions'::regclass in (d.refobjid, def.adrelid)
  loop
    execute format('revoke all on sequence %s from public, anon, authenticated', name);
    execute format('grant usage, select on sequence %s to service_role', name);
  end loop;
end
$$;

-- Does a billing_user_id of your own work for those who will call it?
set local client_min_messages = notice;
do $$
declare
  before constant text := current_setting('role');
  caller text;
begin
  foreach caller in array array['service_role', 'authenticated'] loop
    continue when not pg_has_role(caller, 'member');
    begin
      perform set_config('role', caller, true);
      if caller = 'service_role' then
        perform public.billing_user_id('user_nobody');
      else
        perform set_config('request.jwt.claims', '{"sub": "user_nobody"}', true);
        perform public.billing_reader_user_id();
        perform set_config('request.jwt.claims', '', true);
      end if;
      perform set_config('role', before, true);
    exception when others then
      raise notice 'billing_user_id(text) fails when called for %: %. Write it like the one in '
        'this migration: security definer, and with qualified names.', caller, sqlerrm;
    end;
  end loop;
end
$$;

-- PostgREST answers from its own copy of the schema.
notify pgrst, 'reload schema';

commit;
