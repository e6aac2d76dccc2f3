-- Makes a `subscriptions` table that is older than this file ready for the file after it.

begin;

set local lock_timeout = '3s';

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
      and attname in ('clerk_owner_id', 'livemode', 'stripe_customer_id')
  ) then
    raise exception 'public.billing_customers exists and is not ours: rename it first.';
  end if;
end
$$;


set local client_min_messages = warning;
do $$
begin
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
  create sequence if not exists public.subscriptions_revision_seq as bigint;
alter table public.subscriptions
  add column if not exists stripe_subscription_id text,
  add column if not exists user_id text,
  add column if not exists clerk_owner_id text,
  add column if not exists stripe_customer_id text,
  add column if not exists status text,
  add column if not exists plan text,
  add column if not exists price_id text,
  add column if not exists product_id text,
  add column if not exists quantity integer,
  add column if not exists items jsonb,
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
end
$$;
set local client_min_messages = notice;

-- Columns of ours that have a type which cannot hold what Stripe says.
do $$
declare
  unfit text;
  item record;
begin
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
  select string_agg(format('%I is %s and has to be %s', attname, type, wanted), '; ') into unfit
  from (
    select a.attname, format_type(a.atttypid, a.atttypmod) as type, own.wanted
    from (values
      ('stripe_subscription_id', 'S', 'text'), ('stripe_customer_id', 'S', 'text'),
      ('status', 'SE', 'text'), ('plan', 'SE', 'text'), ('price_id', 'S', 'text'),
      ('product_id', 'S', 'text'), ('quantity', 'N', 'integer'), ('clerk_owner_id', 'S', 'text'), ('items', 'U', 'jsonb'),
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
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
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
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
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
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
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
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
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



commit;
