-- Makes a `subscriptions` table that is older than this file ready for the file after it. Without
-- one it changes nothing.
--
-- Rows, columns, defaults and foreign keys of the team's own survive, and so does the type of
-- user_id. Everything happens in one transaction: what can't work is named, all of it at once, with
-- the statements that mend it, and the database stays as it was. The table is locked when something
-- is to be changed, never rewritten but for a type or a key that must change, and not at all where
-- nothing is left to do. On a big table make the index on user_id beforehand, in a moment:
--
--   create index concurrently on public.subscriptions (user_id);

begin;

set local lock_timeout = '3s';  -- shorter than PostgREST's patience
set local client_min_messages = warning;
set local timezone = 'UTC';  -- so that a time that gets its zone is not written anew
set constraints all immediate;

-- taken: our name is something else's. mend: what would refuse Stripe's rows, and what mends it.
-- do, try: a step of the upgrade; one that may fail. say: nothing to do, something to know.
create temp table billing_steps (n serial, kind text not null, told text, statement text)
  on commit drop;

-- Our columns, what they may be of (categories of pg_type) and what Stripe may say there.
create temp table billing_columns on commit drop as
select name, kind.type, kind.fits, '{
  "stripe_subscription_id": "sub_1BillingTrial00000000001", "stripe_customer_id":
  "cus_BillingTrial01", "status": "active", "price_id": "price_1BillingTrial00000000001",
  "product_id": "prod_BillingTrial01", "quantity": 1, "collection_method": "charge_automatically",
  "current_period_end": "2000-02-01T00:00:00Z", "cancel_at_period_end": false, "livemode": false,
  "as_of": "2000-01-01T00:00:00Z", "revision": 1, "created_at": "2000-01-01T00:00:00Z",
  "updated_at": "2000-01-01T00:00:00Z"}'::jsonb ->> name as example
from (values
  ('text', 'S',
    '{stripe_subscription_id, stripe_customer_id, price_id, product_id, clerk_owner_id}'),
  ('text', 'SE', '{status, plan, collection_method, pause_collection, paused_reason}'),
  ('text', 'SUNEX', '{user_id}'),
  ('integer', 'N', '{quantity}'), ('bigint', 'N', '{revision}'), ('jsonb', 'U', '{items}'),
  ('boolean', 'B', '{cancel_at_period_end, livemode}'),
  ('timestamptz', 'D', '{current_period_end, cancel_at, canceled_at, trial_end, ended_at,
    pause_resumes_at, as_of, created_at, updated_at}')
) as kind (type, fits, names), unnest(names::text[]) as name;

-- The table's columns as they are now; is_ours where we have one of that name.
create temp view billing_attributes as
select a.attrelid, a.attnum, a.attname, a.attnotnull, a.attgenerated, a.atttypid, a.atttypmod,
  a.atttypid::regtype as type, t.typcategory as category, t.typtype, t.typnotnull,
  pg_get_expr(d.adbin, d.adrelid) as value, o.name is not null as is_ours, o.type as wanted, o.fits,
  o.example
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_temp.billing_columns o on o.name = a.attname
where a.attrelid = to_regclass('public.subscriptions') and a.attnum > 0 and not a.attisdropped;

-- Its unique and exclusion indexes. Writes find their row by Stripe's id, and `on conflict` wants
-- one of them on it that is whole. Those that bar a second subscription of a user, or one of a user
-- not known yet, are over nothing but a buyer and what Stripe says.
create temp view billing_uniques as
select i.indexrelid::regclass as index, i.indisprimary as is_key, i.indisreplident, i.indimmediate,
  c.conname, c.contype, keys.list, keys.buyers,
  keys.buyers and (keys.ours or i.indisprimary) as bars,
  i.indisunique and i.indisvalid and i.indpred is null and keys.list = 'stripe_subscription_id'
    as finds_by_id
from pg_catalog.pg_index i
left join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid
cross join lateral (
  select string_agg(key, ', ') as list, bool_or(key ~ '\m(user_id|stripe_customer_id)\M') as buyers,
    bool_and(key ~ ('\m(user_id|stripe_customer_id|status|plan|price_id|product_id|livemode'
      '|cancel_at_period_end|current_period_end)\M')) as ours
  from generate_series(1, i.indnkeyatts) as n, pg_get_indexdef(i.indexrelid, n, true) as key
) as keys
where i.indrelid = to_regclass('public.subscriptions') and (i.indisunique or i.indisexclusion);

create function pg_temp.altering(change text, variadic names text[] default '{}') returns text
language sql as $$
  select format('alter table public.subscriptions ' || change || ';', variadic names)
$$;


-- What can't be upgraded at all -------------------------------------------------------------------

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('this is no Supabase database, the role %s is missing', role)
from unnest(array['anon', 'authenticated', 'service_role']) as role
where to_regrole(role) is null
union all
select 'taken', format('%s is there and is a %s', ours.name, case
    when c.oid is null then 'type'
    when c.relispartition then 'partition of another table'
    when c.reloftype <> 0 then 'table of a type, which takes no columns'
    when c.relkind <> 'r' then (array['view', 'materialized view', 'foreign table',
      'partitioned table', 'sequence', 'composite type', 'index']
      )[strpos('vmfpSci', c.relkind::text)]
    when family is not null then
      'table that inherits or is inherited, where no unique index reaches: ' || family
    when not pg_has_role(c.relowner, 'usage') then format('table of %s, and you are %s',
      pg_get_userbyid(c.relowner), current_user)
    else 'table that was not made by this migration' end)
from (values
  ('public.subscriptions', null),
  ('public.billing_customers', 'PRIMARY KEY (clerk_owner_id, livemode)'),
  ('public.gone_customers', 'PRIMARY KEY (stripe_customer_id, livemode)')
) as ours (name, key)
left join pg_catalog.pg_class c on c.oid = to_regclass(ours.name)
left join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
cross join lateral (
  select string_agg(case c.oid when i.inhrelid then i.inhparent else i.inhrelid end::regclass::text,
    ', ') as family
  from pg_catalog.pg_inherits i where c.oid in (i.inhrelid, i.inhparent)
) as inheritance
where c.relkind <> 'r' or c.reloftype <> 0 or family is not null
  or not pg_has_role(c.relowner, 'usage')
  or c.oid is not null and ours.key <> coalesce(pg_get_constraintdef(k.oid), '')
  or c.oid is null and to_regtype(ours.name) is not null
union all
select 'taken', format('the function %s is there and is not ours', p.oid::regprocedure)
from unnest(array[
  'public.billing_account(clerk_owner_id text, livemode boolean) jsonb',
  'public.link_customer(clerk_owner_id text, livemode boolean, stripe_customer_id text) void',
  'public.mark_customer(stripe_customer_id text, livemode boolean, gone boolean) void',
  'public.forget_owner(clerk_owner_id text, livemode boolean) jsonb',
  'public.upsert_subscription(subscription jsonb, clerk_owner_id text, expected_revision bigint)'
    ' SETOF subscriptions',
  'public.billing_trial_write() text[]',
  'public.billing_hold_sync(livemode boolean, holder text, seconds integer) jsonb',
  'public.billing_end_sync(livemode boolean, holder text, found jsonb) void',
  'public.billing_syncs(livemode boolean) jsonb',
  'public.billing_notices() TABLE(noticed_at timestamp with time zone, notice text)'
]) as ours
join pg_catalog.pg_proc p
  on split_part(ours, '(', 1) = p.pronamespace::regnamespace::text || '.' || p.proname
where ours <> format('%s(%s) %s', split_part(ours, '(', 1),
  pg_get_function_identity_arguments(p.oid),
  replace(pg_get_function_result(p.oid), 'SETOF public.', 'SETOF '))
union all
select 'taken', format('the sequence %s is there and is not ours', seq)
from to_regclass('public.subscriptions_revision_seq') as seq
where seq is not null and not exists (
  select from pg_catalog.pg_depend d
  where d.objid = seq and d.deptype = 'a' and d.refobjid = to_regclass('public.subscriptions'))
union all
select 'taken', 'the schema billing_private is there and is not ours'
where to_regnamespace('billing_private') is not null and not exists (
  select from pg_catalog.pg_attribute
  where attrelid = to_regclass('billing_private.notices') and attname = 'noticed_at');

-- A newsletter, a list of channels, or one of what people pay elsewhere, has neither columns of
-- Stripe's or of a billing period, nor Stripe's ids in its first rows.
do $$
declare
  problems text;
begin
  if to_regclass('public.subscriptions') is not null
    and not exists (select from pg_temp.billing_steps)
    and not exists (select from pg_temp.billing_attributes
      where attname ~* 'stripe|current_?period|period_?(start|end)s?(_?at)?$|cancel_?at')
  then
    insert into pg_temp.billing_steps (kind, told)
    select 'taken', 'public.subscriptions is not about billing: it has no column of Stripe''s or '
      'of a period, and no id of Stripe''s'
    where not exists (
      select from (select * from public.subscriptions limit 1000) as s,
        jsonb_each_text(to_jsonb(s)) as field
      where field.value ~ '^(cus|sub)_[A-Za-z0-9]{8,}$');
  end if;

  select string_agg(told, E'\n') into problems from pg_temp.billing_steps;
  if problems is not null then
    raise exception E'Billing can''t be installed here, and nothing was changed:\n%\nThe way '
      'out is a schema of its own: `flask portal migrate --schema billing` writes these files for '
      'it, and SUPABASE_SCHEMA=billing tells the service.', problems
      using hint = 'Or give that, or what has its name, another name or owner, and run this again.';
  end if;
end
$$;


-- What would refuse Stripe's rows -----------------------------------------------------------------

-- What is something else of the team's is renamed. Labels that are missing from an enum are only
-- told below, but where none of them is Stripe's.
insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format(hurdle.told, a.attname, a.type), hurdle.way
from pg_temp.billing_attributes a
cross join lateral (select format_type(a.atttypid, a.atttypmod) as exact_type) as types
cross join lateral (values
  (strpos(a.fits, a.category::text) = 0
      or a.atttypid = 'bpchar'::regtype and a.attname <> 'user_id'
      or a.atttypid = 'varchar'::regtype and a.atttypmod - 4 < length(a.example)
      or a.attname = 'items' and a.type::text not in ('jsonb', 'json'),
    format('%I is %s and has to be %s', a.attname, exact_type, a.wanted),
    pg_temp.altering(case
      when a.fits = 'D' and a.category = 'N'
        then 'alter %1$I drop default, alter %1$I type timestamptz using to_timestamp(%1$I)'
      when a.fits = 'B' and a.category in ('S', 'N')
        then 'alter %1$I drop default, alter %1$I type boolean using (%1$I::text)::boolean'
      when a.fits like '%S%' and a.category = 'S' then 'alter %1$I type text'
      else 'rename %1$I to own_%1$s' end, a.attname)),
  (a.attname = 'revision' and a.category = 'N'
      and coalesce(a.value, '') !~ 'subscriptions_revision_seq',
    'revision is a column of your own, and has to number the writes of each row',
    pg_temp.altering('rename revision to own_revision')),
  (a.is_ours and a.attgenerated <> '', format('%I is computed, and has to be written', a.attname),
    pg_temp.altering(case a.attgenerated when 's' then 'alter %1$I drop expression'
      else 'rename %1$I to own_%1$s' end, a.attname)),
  (a.attname = 'status' and a.typtype = 'e' and not exists (
      select from pg_catalog.pg_enum where enumtypid = a.atttypid and enumlabel = 'active'),
    format('the type %s of status lacks active, and perhaps more of Stripe''s words', a.type),
    (select string_agg(format('alter type %s add value if not exists %L;', a.type, word), E'\n')
     from unnest(array['active', 'trialing', 'past_due', 'unpaid', 'canceled', 'incomplete',
       'incomplete_expired', 'paused']) as word)),
  (a.typtype = 'd' and a.typnotnull, format('%I is of the domain %s, which is not null: no new row '
      'can be made of values', a.attname, a.type),
    format('alter domain %s drop not null;', a.type))
) as hurdle (is_there, told, way)
where hurdle.is_there
union all
select 'mend', format('the rule %I on it keeps `on conflict` from working', r.rulename),
  format('drop rule %I on public.subscriptions;', r.rulename)
from pg_catalog.pg_rewrite r
where r.ev_class = to_regclass('public.subscriptions') and r.ev_type in ('2', '3')
union all
select 'mend', format('the foreign key %s of %s needs %s, which keeps a user''s second '
    'subscription out', k.conname, k.conrelid::regclass, u.index),
  format('alter table %s drop constraint %I;', k.conrelid::regclass, k.conname)
from pg_temp.billing_uniques u
join pg_catalog.pg_constraint k on k.conindid = u.index and k.contype = 'f'
where u.bars;

-- Where no index has kept duplicates out, there may be some.
do $$
begin
  if exists (select from pg_temp.billing_uniques where finds_by_id)
    or not exists (select from pg_temp.billing_attributes where attname = 'stripe_subscription_id')
  then
    return;
  end if;
  insert into pg_temp.billing_steps (kind, told, statement)
  select 'mend',
    'a row without a subscription has an empty stripe_subscription_id, and should have none',
    pg_temp.altering('alter stripe_subscription_id drop not null, '
      'alter stripe_subscription_id drop default') || E'\nupdate public.subscriptions '
      'set stripe_subscription_id = null where stripe_subscription_id = '''';'
  where exists (select from public.subscriptions where stripe_subscription_id::text = '')
  union all
  select 'mend', format('these subscriptions stand in it more than once: %s. Keep the row that you '
      'trust of each, or the one that was written last',
      string_agg(format('%L (%s rows)', id, rows), ', ' order by id)),
    'delete from public.subscriptions a using public.subscriptions b where a.ctid < b.ctid '
    'and a.stripe_subscription_id = b.stripe_subscription_id;'
  from (
    select stripe_subscription_id::text as id, count(*) as rows from public.subscriptions
    where stripe_subscription_id::text <> ''
    group by 1 having count(*) > 1 order by 1 limit 50) as repeated
  having count(*) > 0;
end
$$;

-- From the first step on the table is locked. What is only to be mended is mended for now, so that
-- all that stands behind it is seen too.
create function pg_temp.billing_run(variadic kinds text[]) returns void language plpgsql as $$
declare
  step record;
begin
  for step in select * from pg_temp.billing_steps where kind = any (kinds) order by n loop
    begin
      lock table public.subscriptions in access exclusive mode;
    exception when lock_not_available then
      raise exception 'public.subscriptions is in use and could not be locked for 3 seconds. '
        'Nothing was changed: run this again, in a quieter moment.' using errcode = '55P03';
    end;
    begin
      execute step.statement;
      update pg_temp.billing_steps set kind = 'done' where n = step.n and kind <> 'mend';
    exception when others then
      if step.kind = 'try' then
        update pg_temp.billing_steps set kind = 'say',
          told = told || ' It could not be changed: ' || sqlerrm
        where n = step.n;
      elsif not exists (select from pg_temp.billing_steps where kind = 'mend') then
        raise;
      end if;
    end;
  end loop;
end
$$;
select pg_temp.billing_run('mend');


-- The upgrade -------------------------------------------------------------------------------------

-- Old rows get the revision 1: a constant, which rewrites nothing, and the sequence goes on from
-- there. Their as_of stays null, so that their next event asks Stripe.
insert into pg_temp.billing_steps (kind, statement)
select 'do', 'alter table public.subscriptions ' || string_agg(format('add %I %s', o.name, o.type)
  || case o.name when 'revision' then ' not null default 1' else '' end, ', ')
from pg_temp.billing_columns o
where to_regclass('public.subscriptions') is not null
  and o.name not in (select attname from pg_temp.billing_attributes)
having count(*) > 0;

-- A time without a zone reads as local time in every browser. Supabase's clock is UTC.
insert into pg_temp.billing_steps (kind, told, statement)
select case when is_used then 'say' else 'try' end,
  format('subscriptions.%I is %s, and is read as UTC. ', a.attname, a.type) || case when is_used
    then 'A view, a policy, a trigger or a computed column uses it, so it stays as it is.'
    else 'It is a timestamp with time zone now.' end,
  pg_temp.altering('alter %I type timestamptz', a.attname)
from pg_temp.billing_attributes a, lateral (
  select count(*) > 0 as is_used
  from pg_catalog.pg_depend d
  left join pg_catalog.pg_attrdef own on own.oid = d.objid and own.adnum = a.attnum
  where d.refobjid = a.attrelid and d.refobjsubid = a.attnum and own.oid is null
    and d.classid = any (array['pg_rewrite', 'pg_policy', 'pg_trigger', 'pg_attrdef']::regclass[])
) as uses
where a.fits = 'D' and a.atttypid in ('timestamp'::regtype, 'date'::regtype);

-- Without a key, Realtime would refuse every update and the dashboard could edit no row.
insert into pg_temp.billing_steps (kind, told, statement)
select 'do', step.told, step.statement
from pg_temp.billing_uniques u
cross join lateral (values
  (true, format('Dropped %s %s, which was on (%s): a user can have several subscriptions. For '
    'your app that means: select=…,subscriptions(…) gives a list where it gave an object (take the '
    'row that GET /subscription speaks of, or the first); .single() and .maybeSingle() fail where '
    'a user has two (order them and .limit(1), or ask GET /subscription); `on conflict (%3$s)`, '
    'onConflict, stops working (leave the writing to the service)%s.',
    case when u.is_key then 'the primary key' else 'the unique' end,
    coalesce(u.conname, u.index::text), u.list, (
      select ', as these of yours do: ' || string_agg(p.oid::regprocedure::text, ', ')
      from pg_catalog.pg_proc p
      where p.prosrc ~* 'on\s+conflict' and p.prosrc ~* '\msubscriptions\M'
        and p.pronamespace::regnamespace::text !~ '^(pg_|information_schema$)'
        and p.proname <> 'upsert_subscription')),
    case when u.conname is null then format('drop index %s', u.index)
      else pg_temp.altering('drop constraint %I', u.conname) end),
  (u.is_key, 'subscriptions has the primary key row_id now.',
    pg_temp.altering('add row_id bigint generated always as identity primary key')),
  (u.indisreplident, 'Realtime gets the whole row of subscriptions now (replica identity full), '
    'since it went by a unique that is dropped.', pg_temp.altering('replica identity full'))
) as step (is_due, told, statement)
where u.bars and step.is_due
union all
select 'do', format('subscriptions.%I may be null now: Stripe may leave it empty.', a.attname),
  pg_temp.altering('alter %I drop not null', a.attname)
from pg_temp.billing_attributes a
where a.is_ours and a.attnotnull
  and a.attname not in ('stripe_subscription_id', 'revision', 'created_at', 'updated_at')
union all
select 'do', format('The constraint %I was deferrable and is not any more.', u.conname),
  pg_temp.altering('drop constraint %1$I, add constraint %1$I %2$s (stripe_subscription_id)',
    u.conname, case u.contype when 'p' then 'primary key' else 'unique' end)
from pg_temp.billing_uniques u where u.finds_by_id and not u.indimmediate;

-- The app's own queries, and a delete of a user, find their rows by user_id in its own type. The
-- free tenth of each page keeps a refresh from touching an index.
insert into pg_temp.billing_steps (kind, statement)
select 'do', step.statement
from pg_catalog.pg_class c
cross join lateral (values
  (to_regclass('public.subscriptions_revision_seq') is null,
    'create sequence public.subscriptions_revision_seq as bigint start 2;'
    || pg_temp.altering('alter revision set default nextval(''public.subscriptions_revision_seq'')')
    || 'alter sequence public.subscriptions_revision_seq owned by public.subscriptions.revision'),
  (not exists (select from pg_temp.billing_uniques where finds_by_id),
    'create unique index on public.subscriptions (stripe_subscription_id)'),
  (exists (
      select from pg_temp.billing_attributes a where a.attname = 'user_id' and not exists (
        select from pg_catalog.pg_index i
        where i.indrelid = c.oid and i.indkey[0] = a.attnum and i.indisvalid and i.indpred is null
          and i.indexrelid not in (select u.index from pg_temp.billing_uniques u where u.bars))),
    'create index on public.subscriptions (user_id)'),
  (coalesce(array_to_string(c.reloptions, ' '), '') !~ 'fillfactor',
    pg_temp.altering('set (fillfactor = 90)')),
  (not has_table_privilege('service_role', c.oid, 'insert'),
    'grant select, insert, update, delete on public.subscriptions to service_role')
) as step (is_due, statement)
where c.oid = to_regclass('public.subscriptions') and step.is_due;

-- After a restore the table may be ahead of its sequence.
do $$
begin
  if to_regclass('public.subscriptions_revision_seq') is not null then
    perform setval('public.subscriptions_revision_seq', highest)
    from (select max(revision) as highest from public.subscriptions) as rows,
      public.subscriptions_revision_seq
    where last_value < highest;
  end if;
end
$$;

-- What the app's own browsers do until now, and can't any more.
insert into pg_temp.billing_steps (kind, told)
select 'done', format('%s could %s subscriptions from the browser%s, and can''t any more: only the '
    'service writes (POST /checkout, /portal and /subscription/refresh), and signed-in users read '
    'their own rows.', role, string_agg(lower(what), ', ' order by n), coalesce(' by your policies '
    || string_agg(distinct policies, ', '), ', since row level security was off'))
from pg_catalog.pg_class c
cross join unnest(array['anon', 'authenticated']) as role
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality as rights (what, n)
cross join lateral (
  select string_agg(format('%I', p.polname), ', ') as policies from pg_catalog.pg_policy p
  where p.polrelid = c.oid and p.polpermissive and p.polroles && array[0::oid, role::regrole::oid]
    and p.polcmd in ('*', (array['r', 'a', 'w', 'd'])[n])
) as allowed
where c.oid = to_regclass('public.subscriptions') and (role, what) <> ('authenticated', 'SELECT')
  and (not c.relrowsecurity or policies is not null)
  and case what when 'DELETE' then has_table_privilege(role, c.oid, what)
    else has_any_column_privilege(role, c.oid, what) end
group by role
union all
select 'done', format(E'The role %1$I has rights on subscriptions, and row level security, which '
    'is on now, shows it no row. It would read as before with:\ncreate policy %2$I on '
    'public.subscriptions for select to %1$I using (true);', r.rolname, r.rolname || ' reads')
from pg_catalog.pg_class c, aclexplode(c.relacl) as acl
join pg_catalog.pg_roles r on r.oid = acl.grantee
where c.oid = to_regclass('public.subscriptions') and not c.relrowsecurity and not r.rolbypassrls
  and acl.privilege_type = 'SELECT' and r.oid <> c.relowner
  and r.rolname not in ('anon', 'authenticated', 'service_role')
union all
select 'say', format('The unique %s may refuse the second subscription of a user: %s',
  u.index, pg_get_indexdef(u.index))
from pg_temp.billing_uniques u
where u.buyers and not u.bars and u.list !~ '\mstripe_subscription_id\M'
union all
select 'say', format(E'The foreign key %I keeps your app from deleting a row of %s that has a '
    'subscription. It would let go with:\n%s', c.conname, c.confrelid::regclass, pg_temp.altering(
    'drop constraint %1$I, add constraint %1$I %2$s on delete set null', c.conname,
    replace(pg_get_constraintdef(c.oid), ' ON DELETE RESTRICT', '')))
from pg_catalog.pg_constraint c
join pg_temp.billing_attributes a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
where c.contype = 'f' and a.attname = 'user_id' and c.confdeltype in ('a', 'r');

select pg_temp.billing_run('do', 'try');

insert into pg_temp.billing_steps (kind, statement)
select distinct 'do', format('revoke all on sequence %1$s from public, anon, authenticated; '
  'grant usage, select on sequence %1$s to service_role', seq::regclass)
from pg_temp.billing_attributes, coalesce(pg_get_serial_sequence(attrelid::regclass::text, attname),
  substring(value from '^nextval\(''(.+)''::regclass')) as seq
where not has_sequence_privilege('service_role', seq, 'usage')
  or has_sequence_privilege('anon', seq, 'usage, update')
  or has_sequence_privilege('authenticated', seq, 'usage, update');
select pg_temp.billing_run('do');


-- The trial ---------------------------------------------------------------------------------------

-- Two rows as the service writes them, inserted and updated by the service role, with all that
-- waits for the commit; then each other word that Stripe may say. Whatever refuses is taken out of
-- the way until the rows pass, so that all of it is named at once. Then everything is undone.
do $$
#variable_conflict use_variable
declare
  names text := (select string_agg(quote_ident(name), ', ') from pg_temp.billing_columns);
  one jsonb := (
    select jsonb_object_agg(name, example) || '{"items": []}' from pg_temp.billing_columns);
  owner text := current_setting('role');
  trier text := case when pg_has_role('service_role', 'member') then 'service_role' else owner end;
  a_user text; id text; is_so boolean; told text; way text; for_now text;
  hurdles jsonb := '[]';  -- of [what it is, what mends it]
  words jsonb := '[]';  -- of [what refuses, which word, of which column, what lets it in]
  word jsonb;
  moved timestamptz;
  item record;
  state text; said text; context text; of_table text; of_column text; of_type text; rule text;
begin
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
  if exists (select from pg_temp.billing_steps where statement like 'alter type %') then
    one := one - 'status';  -- a word that is new to an enum can't be used before the commit
  end if;
  select s.user_id::text into a_user from public.subscriptions s
  where s.user_id is not null limit 1;
  begin
    for attempt in 1 .. 50 loop
      begin
        perform set_config('role', trier, true);
        perform set_config('request.jwt.claims', '{"role": "service_role"}', true);
        foreach id in array array['sub_1BillingTrial00000000001', 'sub_1BillingTrial00000000002']
        loop
          one := jsonb_set(one, '{stripe_subscription_id}', to_jsonb(id));
          execute format('insert into public.subscriptions as s (%1$s) select %1$s '
            'from jsonb_populate_record(null::public.subscriptions, $1) '
            'on conflict (stripe_subscription_id) do nothing returning to_jsonb(s.*) @> ('
            'select jsonb_object_agg(key, value) from jsonb_each(to_jsonb(jsonb_populate_record('
            'null::public.subscriptions, $1))) where $1 ->> key is not null '
            'and key not in (''created_at'', ''updated_at''))', names)
          using one into is_so;
          update public.subscriptions s set as_of = now(), clerk_owner_id = 'user_BillingTrial',
            user_id = (jsonb_populate_record(s.*, jsonb_build_object('user_id', a_user))).user_id
          where s.stripe_subscription_id = id returning s.updated_at into moved;
          if is_so is not true or not found then
            raise 'what was written is not what is stored' using errcode = 'OTHER';
          end if;
        end loop;
        perform set_config('role', owner, true);
        exit;
      exception when others then
        get stacked diagnostics state = returned_sqlstate, said = message_text,
          context = pg_exception_context, of_table = table_name, of_column = column_name,
          of_type = pg_datatype_name, rule = constraint_name;
      end;

      select null, null, null into told, way, for_now;
      if rule <> '' and (of_table = 'subscriptions' or of_type <> '') then
        told := format('the %s %s refuses a row of Stripe''s', case state when '23503'
          then 'foreign key' else 'constraint' end, rule);
        way := case
          when of_type <> '' then format('alter domain %s drop constraint %I;', of_type, rule)
          when exists (select from pg_catalog.pg_constraint
            where conrelid = 'public.subscriptions'::regclass and conname = rule)
          then pg_temp.altering('drop constraint %I', rule)
          else format('drop index public.%I;', rule) end;
      elsif state = '23502' and of_table = 'subscriptions' then
        -- The key that is Stripe's id becomes ours, and stays readable under its name.
        execute format('select exists (select from (select %1$I from public.subscriptions limit '
          '1000) s where s.%1$I::text ~ ''^sub_[A-Za-z0-9]+$'')', of_column) into is_so;
        select pg_temp.altering(case
            when not is_key then 'alter %1$I drop not null'
            when a.atttypid = 'uuid'::regtype then 'alter %1$I set default gen_random_uuid()'
            when a.category = 'S' then 'alter %1$I set default gen_random_uuid()::text'
            else 'alter %1$I add generated by default as identity (start with 1000000000)' end,
            of_column),
          case when is_key and is_so and exists (select from pg_temp.billing_steps s
            where s.statement like '%add stripe_subscription_id %')
          then pg_temp.altering('rename %I to stripe_subscription_id', of_column) || E'\n'
            || pg_temp.altering('add %I %s generated always as (stripe_subscription_id) stored',
              of_column, format_type(a.atttypid, a.atttypmod)) end
        into for_now, way
        from pg_temp.billing_attributes a, lateral (
          select count(*) > 0 as is_key from pg_catalog.pg_index i
          where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any (i.indkey)) as keys
        where a.attname = of_column;
        told := format('%I is your own, not null and without a default, and nobody fills it%s',
          of_column, case when way <> '' then '. It holds Stripe''s ids, and can be ours' end);
        way := coalesce(way, for_now);
      else
        select format('the trigger %s refuses or changes what Stripe says: %s',
            string_agg(t.tgname, ', '), said),
          string_agg(pg_temp.altering('disable trigger %I', t.tgname), E'\n')
        into told, way
        from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = 'public.subscriptions'::regclass and not t.tgisinternal
          and t.tgenabled <> 'D' and case state when 'OTHER' then t.tgtype & 3 = 3  -- before, row
            else strpos(context, quote_ident(p.proname) || '(') > 0 end;
        for item in
          select attname, value from pg_temp.billing_attributes
          where way is null and attgenerated = '' and value !~ 'nextval'
        loop
          begin
            execute 'select ' || item.value;
          exception when others then
            told := format('the default of %I fails: %s', item.attname, sqlerrm);
            way := pg_temp.altering('alter %1$I drop default, alter %1$I drop not null',
              item.attname);
          end;
        end loop;
      end if;

      if exists (
        select from pg_catalog.pg_constraint k
        join pg_temp.billing_attributes a on a.attrelid = k.conrelid and array[a.attnum] = k.conkey
        where k.conname = rule and a.attname = 'plan'
      ) then  -- a plan that is not known is rare: told, no reason to stop
        words := words || jsonb_build_array(jsonb_build_array(
          'The constraint ' || quote_ident(rule), 'null', 'plan', way));
      else
        exit when hurdles @> jsonb_build_array(jsonb_build_array(way)) or state = '55P04';
        hurdles := hurdles || jsonb_build_array(jsonb_build_array(
          coalesce(told, 'a row of Stripe''s is refused: ' || said), way));
        exit when way is null;
      end if;
      execute coalesce(for_now, way);
    end loop;

    for word in select * from jsonb_array_elements('[
      {"status": "trialing"}, {"status": "past_due"}, {"status": "unpaid"}, {"status": "canceled"},
      {"status": "incomplete"}, {"status": "incomplete_expired"}, {"status": "paused"},
      {"plan": null}, {"plan": "any plan of STRIPE_PLANS"}, {"livemode": true}, {"as_of": null},
      {"price_id": null, "product_id": null, "quantity": null, "items": null},
      {"quantity": 2000000000}, {"current_period_end": null, "collection_method": null},
      {"cancel_at": "2000-03-01T00:00:00Z", "cancel_at_period_end": true},
      {"canceled_at": "2000-01-01T00:00:00Z", "ended_at": "2000-01-01T00:00:00Z"},
      {"trial_end": "2000-01-15T00:00:00Z", "pause_resumes_at": "2000-01-15T00:00:00Z"},
      {"pause_collection": "keep_as_draft", "paused_reason": "pause_requested"}]')
    loop
      begin
        exit when hurdles <> '[]';
        perform set_config('role', trier, true);
        execute format('update public.subscriptions s set (%1$s) = (select %1$s '
          'from jsonb_populate_record(s.*, $1)) where stripe_subscription_id = $2', names)
        using word, id;
        perform set_config('role', owner, true);
      exception when others then
        get stacked diagnostics said = message_text, rule = constraint_name,
          of_type = pg_datatype_name;
        words := words || (
          select jsonb_build_array(jsonb_build_array(
            case when rule <> '' then 'The constraint ' || quote_ident(rule)
              when a.typtype in ('e', 'd') or a.category = 'N' then 'The type ' || a.type
              else format('The table (%s)', said) end,
            coalesce(word ->> a.attname::text, 'null'), a.attname,
            case when of_type <> '' then null
              when rule <> '' then pg_temp.altering('drop constraint %I', rule)
              when a.typtype = 'e' and a.attname <> 'plan'
              then format('alter type %s add value if not exists %L;', a.type,
                word ->> a.attname::text)
              when a.category = 'N'
              then pg_temp.altering('alter %I type %s', a.attname, a.wanted) end))
          from pg_temp.billing_attributes a
          where a.attname = (select min(key) from jsonb_object_keys(word) as key));
      end;
    end loop;
    raise exception using errcode = 'TRIAL';
  exception when sqlstate 'TRIAL' then
    null;
  end;

  insert into pg_temp.billing_steps (kind, told, statement)
  select 'mend', h ->> 0, h ->> 1 from jsonb_array_elements(hurdles) as h
  union all
  select 'say', format('%s refuses %s in subscriptions.%s: such a subscription can''t be stored.',
    w ->> 0, string_agg(w ->> 1, ', ' order by n), w ->> 2)
    || coalesce(E' This lets it in:\n' || string_agg(distinct w ->> 3, E'\n'), ''), null
  from jsonb_array_elements(words) with ordinality as all_words (w, n)
  group by w ->> 0, w ->> 2
  union all
  select 'say', format('The trigger %s moves updated_at with each write: a refresh that finds '
    'nothing new counts as `refreshed`, never as `unchanged`.', string_agg(t.tgname, ', ')), null
  from pg_catalog.pg_trigger t
  where moved > '2000-01-01' and t.tgrelid = 'public.subscriptions'::regclass
    and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 19 = 19  -- before, update, row
  having count(*) > 0;
end
$$;

-- What was done and found is told now, in the result of the file after this one, and whenever
-- somebody asks.
do $$
declare
  problems text; ways text; changes text;
  item record;
begin
  select string_agg('- ' || told, E'\n' order by n) filter (where kind = 'mend'),
    string_agg(statement, E'\n' order by n) filter (where kind = 'mend'),
    E'\n\nIt will change this too:\n'
      || string_agg('- ' || told, E'\n' order by n) filter (where kind = 'done')
  into problems, ways, changes from pg_temp.billing_steps;
  if problems is not null then
    raise exception E'public.subscriptions can''t hold what Stripe says, and nothing was changed:\n'
      '%\n\nThis mends it, all of it together, and then run the migration again:\n%\n\nOr the '
      'table stays as it is and billing gets a schema of its own: `flask portal migrate --schema '
      'billing`, and SUPABASE_SCHEMA=billing for the service.%', problems,
      coalesce(ways, '(what it says has to be mended by hand)'), coalesce(changes, '');
  elsif to_regclass('public.subscriptions') is not null then
    create schema if not exists billing_private;
    create table if not exists billing_private.notices (
      n bigint generated always as identity primary key,
      noticed_at timestamptz not null default now(),
      source text not null,  -- done: once and for all; else the file that says it while it is so
      notice text not null unique
    );
    delete from billing_private.notices
    where source = 'upgrade' and notice not in (
      select told from pg_temp.billing_steps where told is not null);
    set local client_min_messages = notice;
    for item in select * from pg_temp.billing_steps where told is not null order by n loop
      raise notice '%', item.told;
      insert into billing_private.notices (source, notice)
      values (case item.kind when 'done' then 'done' else 'upgrade' end, item.told)
      on conflict do nothing;
    end loop;
  end if;
end
$$;

drop view pg_temp.billing_uniques, pg_temp.billing_attributes;
drop function pg_temp.billing_run(text[]), pg_temp.altering(text, text[]);

commit;
