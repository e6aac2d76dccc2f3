-- Makes a `subscriptions` table that is older than this file ready for the file after it. Without
-- one it changes nothing.
--
-- Rows, columns, defaults and foreign keys of the team's own survive, and so does the type of
-- user_id. Everything happens in one transaction: what can't work is named, all of it at once, with
-- the statements that mend it, and the database stays as it was. The table is locked once, at the
-- end of looking, never rewritten but for a type or a key that must change, and not at all where
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
create temp table billing_steps (
  n serial,
  kind text not null,
  told text,
  statement text
) on commit drop;

-- Our columns, what they may be of (categories of pg_type) and what Stripe may say there.
create temp table billing_columns (name text, type text, fits text, example text) on commit drop;
insert into pg_temp.billing_columns values
  ('stripe_subscription_id', 'text', 'S', 'sub_1BillingTrial00000000001'),
  ('stripe_customer_id', 'text', 'S', 'cus_BillingTrial01'),
  ('status', 'text', 'SE', 'active'),
  ('plan', 'text', 'SE', null),
  ('price_id', 'text', 'S', 'price_1BillingTrial00000000001'),
  ('product_id', 'text', 'S', 'prod_BillingTrial01'),
  ('quantity', 'integer', 'N', '1'),
  ('items', 'jsonb', 'U', '[]'),
  ('collection_method', 'text', 'SE', 'charge_automatically'),
  ('current_period_end', 'timestamptz', 'D', '2000-02-01T00:00:00Z'),
  ('cancel_at', 'timestamptz', 'D', null),
  ('canceled_at', 'timestamptz', 'D', null),
  ('trial_end', 'timestamptz', 'D', null),
  ('ended_at', 'timestamptz', 'D', null),
  ('pause_resumes_at', 'timestamptz', 'D', null),
  ('cancel_at_period_end', 'boolean', 'B', 'false'),
  ('pause_collection', 'text', 'SE', null),
  ('paused_reason', 'text', 'SE', null),
  ('livemode', 'boolean', 'B', 'false'),
  ('as_of', 'timestamptz', 'D', '2000-01-01T00:00:00Z'),
  ('revision', 'bigint', 'N', '1'),
  ('created_at', 'timestamptz', 'D', '2000-01-01T00:00:00Z'),
  ('updated_at', 'timestamptz', 'D', '2000-01-01T00:00:00Z'),
  ('user_id', 'text', 'SUNEX', null),
  ('clerk_owner_id', 'text', 'S', null);


-- What can't be upgraded at all -------------------------------------------------------------------

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('this is no Supabase database, the role %s is missing', role)
from unnest(array['anon', 'authenticated', 'service_role']) as role
where not exists (select from pg_catalog.pg_roles where rolname = role);

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('%s is there and is a %s', c.oid::regclass, case
    when c.relispartition then 'partition of another table'
    when c.reloftype <> 0 then 'table of a type, which takes no columns'
    when c.relkind = 'r' then 'table that was not made by this migration'
    else (array['view', 'materialized view', 'foreign table', 'partitioned table', 'sequence',
                'composite type', 'index'])[position(c.relkind::text in 'vmfpSci')] end)
from (values
  ('public.subscriptions', null),
  ('public.billing_customers', 'PRIMARY KEY (clerk_owner_id, livemode)'),
  ('public.gone_customers', 'PRIMARY KEY (stripe_customer_id, livemode)')
) as ours (name, key)
join pg_catalog.pg_class c on c.oid = to_regclass(ours.name)
where c.relkind <> 'r' or c.relispartition or c.reloftype <> 0 or ours.key <> coalesce((
  select pg_get_constraintdef(k.oid) from pg_catalog.pg_constraint k
  where k.conrelid = c.oid and k.contype = 'p'), '');

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('%s is there and is a type', name)
from unnest(array['public.subscriptions', 'public.billing_customers', 'public.gone_customers'])
  as name
where to_regtype(name) is not null and to_regclass(name) is null;

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('the function %s is there and is not ours', p.oid::regprocedure)
from (values
  ('public.billing_account', 'clerk_owner_id text, livemode boolean', 'jsonb'),
  ('public.link_customer',
   'clerk_owner_id text, livemode boolean, stripe_customer_id text', 'void'),
  ('public.mark_customer', 'stripe_customer_id text, livemode boolean, gone boolean', 'void'),
  ('public.upsert_subscription',
   'subscription jsonb, clerk_owner_id text, expected_revision bigint', 'SETOF subscriptions'),
  ('public.billing_trial_write', '', 'text[]'),
  ('public.billing_notices', '', 'TABLE(noticed_at timestamp with time zone, notice text)')
) as ours (name, arguments, result)
join pg_catalog.pg_proc p on p.pronamespace::regnamespace::text || '.' || p.proname = ours.name
where pg_get_function_identity_arguments(p.oid) <> ours.arguments
  or replace(pg_get_function_result(p.oid), 'SETOF public.', 'SETOF ') <> ours.result;

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('the sequence %s is there and is not ours', seq)
from to_regclass('public.subscriptions_revision_seq') as seq
where seq is not null and not exists (
  select from pg_catalog.pg_depend d
  where d.objid = seq and d.deptype = 'a' and d.refobjid = to_regclass('public.subscriptions'));

insert into pg_temp.billing_steps (kind, told)
select 'taken', 'the schema billing_private is there and is not ours'
where to_regnamespace('billing_private') is not null and not exists (
  select from pg_catalog.pg_attribute
  where attrelid = to_regclass('billing_private.notices') and attname = 'noticed_at');

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('%s belongs to %s, and you are %s', c.oid::regclass,
  pg_get_userbyid(c.relowner), current_user)
from pg_catalog.pg_class c
where c.oid = to_regclass('public.subscriptions') and not pg_has_role(c.relowner, 'usage');

insert into pg_temp.billing_steps (kind, told)
select 'taken', format('%s inherits or is inherited (%s), where no unique index reaches', c.oid,
  string_agg(case c.oid when i.inhrelid then i.inhparent else i.inhrelid end::regclass::text, ', '))
from to_regclass('public.subscriptions') as c (oid)
join pg_catalog.pg_inherits i on c.oid in (i.inhrelid, i.inhparent)
where not exists (select from pg_temp.billing_steps)
group by c.oid;

-- A newsletter, a list of channels, or one of what people pay elsewhere, has neither columns of
-- Stripe's or of a billing period, nor Stripe's ids in its first rows.
do $$
declare
  item record;
  is_billing boolean;
begin
  for item in
    select a.attname, a.attname ~* 'stripe|current_?period|period_?(start|end)s?(_?at)?$|cancel_?at'
      as is_known
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
    where a.attrelid = to_regclass('public.subscriptions') and a.attnum > 0
      and not exists (select from pg_temp.billing_steps)
      and (t.typcategory = 'S' or a.attname ~* 'stripe|period|cancel')
  loop
    is_billing := item.is_known;
    if not is_billing then
      execute format('select exists (select from (select %1$I::text as id '
        'from public.subscriptions limit 1000) as sample '
        'where sample.id ~ ''^(cus|sub)_[A-Za-z0-9]{8,}$'')', item.attname)
      into is_billing;
    end if;
    if is_billing then
      return;
    end if;
  end loop;
  insert into pg_temp.billing_steps (kind, told)
  select 'taken', 'public.subscriptions is not about billing: it has no column of Stripe''s or of '
    'a period, and no id of Stripe''s'
  where to_regclass('public.subscriptions') is not null
    and not exists (select from pg_temp.billing_steps);
end
$$;

do $$
declare
  problems text := (select string_agg(told, E'\n') from pg_temp.billing_steps);
begin
  if problems is not null then
    raise exception E'Billing can''t be installed here, and nothing was changed:\n%\nThe way '
      'out is a schema of its own: `flask portal migrate --schema billing` writes these files for '
      'it, and SUPABASE_SCHEMA=billing tells the service.', problems
      using hint = 'Or give that, or what has its name, another name or owner, and run this again.';
  end if;
end
$$;


-- What would refuse Stripe's rows -----------------------------------------------------------------

-- A type that can't hold what Stripe says. What is something else of the team's is renamed.
insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format('%I is %s and has to be %s', a.attname, format_type(a.atttypid, a.atttypmod),
    o.type),
  format('alter table public.subscriptions ' || case
    when o.fits = 'D' and t.typcategory = 'N'
      then 'alter %1$I drop default, alter %1$I type timestamptz using to_timestamp(%1$I);'
    when o.fits = 'B' and t.typcategory in ('S', 'N')
      then 'alter %1$I drop default, alter %1$I type boolean using (%1$I::text)::boolean;'
    when o.fits like '%S%' and t.typcategory = 'S' then 'alter %1$I type text;'
    else 'rename %1$I to own_%1$s;' end, a.attname)
from pg_temp.billing_columns o
join pg_catalog.pg_attribute a
  on a.attrelid = to_regclass('public.subscriptions') and a.attname = o.name
join pg_catalog.pg_type t on t.oid = a.atttypid
where strpos(o.fits, t.typcategory::text) = 0
  or t.oid = 'bpchar'::regtype and o.name <> 'user_id'
  or t.oid = 'varchar'::regtype and a.atttypmod - 4 < length(o.example)
  or o.name = 'items' and t.typname not in ('jsonb', 'json');

insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', 'revision is a column of your own, and has to number the writes of each row',
  'alter table public.subscriptions rename revision to own_revision;'
from pg_catalog.pg_attribute a
where a.attrelid = to_regclass('public.subscriptions') and a.attname = 'revision'
  and not exists (select from pg_temp.billing_steps where told like 'revision is %')
  and not exists (
    select from pg_catalog.pg_attrdef d
    where d.adrelid = a.attrelid and d.adnum = a.attnum
      and pg_get_expr(d.adbin, d.adrelid) ~ 'subscriptions_revision_seq');

insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format('%I is computed, and has to be written', a.attname),
  format('alter table public.subscriptions ' || case a.attgenerated
    when 's' then 'alter %1$I drop expression;' else 'rename %1$I to own_%1$s;' end, a.attname)
from pg_catalog.pg_attribute a join pg_temp.billing_columns o on o.name = a.attname
where a.attrelid = to_regclass('public.subscriptions') and a.attgenerated <> '';

-- Labels that are missing from an enum are only told below, but where none of them is Stripe's.
insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format('the type %s of status lacks active, and perhaps more of Stripe''s words',
    a.atttypid::regtype),
  string_agg(format('alter type %s add value if not exists %L;', a.atttypid::regtype, word), E'\n')
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid and t.typtype = 'e'
cross join unnest(array['active', 'trialing', 'past_due', 'unpaid', 'canceled', 'incomplete',
  'incomplete_expired', 'paused']) as word
where a.attrelid = to_regclass('public.subscriptions') and a.attname = 'status'
  and not exists (
    select from pg_catalog.pg_enum e where e.enumtypid = t.oid and e.enumlabel = 'active')
group by a.atttypid;
update pg_temp.billing_columns set example = null
where name = 'status' and exists (
  select from pg_temp.billing_steps where statement like 'alter type % add value %');

insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format('%I is of the domain %s, which is not null: no new row can be made of values',
    a.attname, a.atttypid::regtype),
  format('alter domain %s drop not null;', a.atttypid::regtype)
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid and t.typtype = 'd' and t.typnotnull
where a.attrelid = to_regclass('public.subscriptions') and not a.attisdropped;

insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format('the rule %I on it keeps `on conflict` from working', r.rulename),
  format('drop rule %I on public.subscriptions;', r.rulename)
from pg_catalog.pg_rewrite r
where r.ev_class = to_regclass('public.subscriptions') and r.ev_type in ('2', '3');

-- What keeps a second subscription of a user, or one of a user not known yet, from being stored:
-- unique, primary key or exclusion over nothing but a buyer and what Stripe says.
create temp view billing_uniques as
select i.indexrelid as index, i.indisprimary as is_key, c.conname, keys.list
from pg_catalog.pg_index i
left join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid
cross join lateral (
  select array_agg(pg_get_indexdef(i.indexrelid, n, true)) as list,
    bool_and(pg_get_indexdef(i.indexrelid, n, true) ~ ('\m(user_id|stripe_customer_id|status|plan'
      '|price_id|product_id|livemode|cancel_at_period_end|current_period_end)\M')) as ours,
    bool_or(pg_get_indexdef(i.indexrelid, n, true) ~ '\m(user_id|stripe_customer_id)\M') as buyers
  from generate_series(1, i.indnkeyatts) as n
) as keys
where i.indrelid = to_regclass('public.subscriptions') and (i.indisunique or i.indisexclusion)
  and keys.buyers and (keys.ours or i.indisprimary);

insert into pg_temp.billing_steps (kind, told, statement)
select 'mend', format('the foreign key %s of %s needs %s, which keeps a user''s second '
    'subscription out', k.conname, k.conrelid::regclass, u.index::regclass),
  format('alter table %s drop constraint %I;', k.conrelid::regclass, k.conname)
from pg_temp.billing_uniques u
join pg_catalog.pg_constraint k on k.conindid = u.index and k.contype = 'f';

-- Writes find their row by Stripe's id: `on conflict` wants a unique index on it that is whole and
-- not deferrable. Where there is none, there may be duplicates.
create temp view billing_unique_ids as
select c.conname, c.contype, i.indimmediate from pg_catalog.pg_index i
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
left join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid
where i.indrelid = to_regclass('public.subscriptions') and a.attname = 'stripe_subscription_id'
  and i.indnkeyatts = 1 and i.indisunique and i.indisvalid and i.indpred is null;
do $$
declare
  repeated text;
begin
  if exists (select from pg_temp.billing_unique_ids) or not exists (
    select from pg_catalog.pg_attribute where attrelid = to_regclass('public.subscriptions')
      and attname = 'stripe_subscription_id' and not attisdropped
  ) then
    return;
  end if;
  select string_agg(format('%L (%s rows)', id, rows), ', ') into repeated from (
    select stripe_subscription_id::text as id, count(*) as rows from public.subscriptions
    where stripe_subscription_id::text <> ''
    group by 1 having count(*) > 1 order by 1 limit 50) as ids;
  if exists (select from public.subscriptions where stripe_subscription_id::text = '') then
    insert into pg_temp.billing_steps (kind, told, statement) values ('mend',
      'a row without a subscription has an empty stripe_subscription_id, and should have none',
      E'alter table public.subscriptions alter stripe_subscription_id drop not null, '
        'alter stripe_subscription_id drop default;\n'
        'update public.subscriptions set stripe_subscription_id = null '
        'where stripe_subscription_id = '''';');
  end if;
  if repeated is not null then
    insert into pg_temp.billing_steps (kind, told, statement) values ('mend',
      'these subscriptions stand in it more than once: ' || repeated || '. Keep the row that you '
        'trust of each, or the one that was written last',
      'delete from public.subscriptions a using public.subscriptions b where a.ctid < b.ctid '
        'and a.stripe_subscription_id = b.stripe_subscription_id;');
  end if;
end
$$;

-- From here on it is locked, if there is anything to do. What is only to be mended is mended for
-- now, so that all that stands behind it is seen too.
create function pg_temp.billing_run(kinds text[]) returns void language plpgsql as $$
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
    if step.kind = 'do' and not exists (select from pg_temp.billing_steps where kind = 'mend') then
      execute step.statement;
    else
      begin
        execute step.statement;
      exception when others then
        update pg_temp.billing_steps s set kind = case s.kind when 'try' then 'say' else s.kind end,
          told = s.told || case s.kind when 'try' then ' It could not be changed: ' || sqlerrm
            else '' end
        where s.n = step.n;
      end;
    end if;
  end loop;
  update pg_temp.billing_steps set kind = 'done' where kind in ('do', 'try') and kind = any (kinds);
end
$$;
select pg_temp.billing_run(array['mend']);


-- The upgrade -------------------------------------------------------------------------------------

-- Old rows get the revision 1: a constant, which rewrites nothing, and the sequence goes on from
-- there. Their as_of stays null, so that their next event asks Stripe.
insert into pg_temp.billing_steps (kind, statement)
select 'do', 'alter table public.subscriptions ' || string_agg(format('add %I %s', o.name, o.type)
  || case o.name when 'revision' then ' not null default 1' else '' end, ', ')
from pg_temp.billing_columns o
where to_regclass('public.subscriptions') is not null and not exists (
  select from pg_catalog.pg_attribute a
  where a.attrelid = to_regclass('public.subscriptions') and a.attname = o.name)
having count(*) > 0;

insert into pg_temp.billing_steps (kind, statement)
select 'do', statement from unnest(array[
  'create sequence public.subscriptions_revision_seq as bigint',
  'select setval(''public.subscriptions_revision_seq'', 1)',
  'alter table public.subscriptions alter revision '
    'set default nextval(''public.subscriptions_revision_seq'')',
  'alter sequence public.subscriptions_revision_seq owned by public.subscriptions.revision'
]) as statement
where to_regclass('public.subscriptions') is not null
  and to_regclass('public.subscriptions_revision_seq') is null;

-- After a restore the table may be ahead of its sequence.
do $$
declare
  highest bigint;
begin
  if to_regclass('public.subscriptions_revision_seq') is not null then
    select max(revision) into highest from public.subscriptions;
    insert into pg_temp.billing_steps (kind, statement)
    select 'do', format('select setval(''public.subscriptions_revision_seq'', %s)', highest)
    from public.subscriptions_revision_seq where last_value < highest;
  end if;
end
$$;

-- A time without a zone reads as local time in every browser. Supabase's clock is UTC.
insert into pg_temp.billing_steps (kind, told, statement)
select case when used then 'say' else 'try' end,
  format('subscriptions.%I is %s, and is read as UTC. ', name, type) || case when used
    then 'A view, a policy, a trigger or a computed column uses it, so it stays as it is.'
    else 'It is a timestamp with time zone now.' end,
  format('alter table public.subscriptions alter %I type timestamptz', name)
from (
  select o.name, a.atttypid::regtype as type, exists (
    select from pg_catalog.pg_depend d
    where d.refobjid = a.attrelid and d.refobjsubid = a.attnum and (
      d.classid = any (array['pg_rewrite', 'pg_policy', 'pg_trigger']::regclass[])
      or d.classid = 'pg_attrdef'::regclass and not exists (
        select from pg_catalog.pg_attrdef f where f.oid = d.objid and f.adnum = a.attnum))
  ) as used
  from pg_temp.billing_columns o
  join pg_catalog.pg_attribute a
    on a.attrelid = to_regclass('public.subscriptions') and a.attname = o.name
  where o.fits = 'D' and a.atttypid in ('timestamp'::regtype, 'date'::regtype)
) as times;

insert into pg_temp.billing_steps (kind, told, statement)
select 'do', format('Dropped %s %s, which was on (%s): a user can have several subscriptions. For '
    'your app that means: select=…,subscriptions(…) gives a list where it gave an object (take the '
    'row that GET /subscription speaks of, or the first); .single() and .maybeSingle() fail where '
    'a user has two (order them and .limit(1), or ask GET /subscription); `on conflict (%s)`, '
    'onConflict, stops working (leave the writing to the service)%s.',
    case when u.is_key then 'the primary key' else 'the unique' end,
    coalesce(u.conname, u.index::regclass::text), columns, columns, (
      select ', as these of yours do: ' || string_agg(p.oid::regprocedure::text, ', ')
      from pg_catalog.pg_proc p
      where p.prosrc ~* 'on\s+conflict' and p.prosrc ~* '\msubscriptions\M'
        and p.pronamespace::regnamespace::text !~ '^(pg_|information_schema$)'
        and p.oid is distinct from to_regprocedure('public.upsert_subscription(jsonb,text,bigint)')
    )),
  case when u.conname is null then format('drop index %s', u.index::regclass)
    else format('alter table public.subscriptions drop constraint %I', u.conname) end
from pg_temp.billing_uniques u, array_to_string(u.list, ', ') as columns;

-- Without a key, Realtime would refuse every update and the dashboard could edit no row.
insert into pg_temp.billing_steps (kind, told, statement)
select 'do', 'subscriptions has the primary key row_id now.', 'alter table public.subscriptions '
  'add row_id bigint generated always as identity primary key'
from pg_temp.billing_uniques where is_key;

insert into pg_temp.billing_steps (kind, told, statement)
select 'do', 'Realtime gets the whole row of subscriptions now (replica identity full), since it went '
  'by a unique that is dropped.', 'alter table public.subscriptions replica identity full'
from pg_temp.billing_uniques u join pg_catalog.pg_index i on i.indexrelid = u.index
where i.indisreplident;

insert into pg_temp.billing_steps (kind, told, statement)
select 'do', format('subscriptions.%I may be null now: Stripe may leave it empty.', a.attname),
  format('alter table public.subscriptions alter %I drop not null', a.attname)
from pg_catalog.pg_attribute a join pg_temp.billing_columns o on o.name = a.attname
where a.attrelid = to_regclass('public.subscriptions') and a.attnotnull
  and o.name not in ('stripe_subscription_id', 'revision', 'created_at', 'updated_at');

insert into pg_temp.billing_steps (kind, told, statement)
select 'do', format('The constraint %I was deferrable and is not any more.', conname),
  format('alter table public.subscriptions drop constraint %1$I, add constraint %1$I %2$s '
    '(stripe_subscription_id)', conname, case contype when 'p' then 'primary key' else 'unique' end)
from pg_temp.billing_unique_ids where not indimmediate
union all
select 'do', null, 'create unique index on public.subscriptions (stripe_subscription_id)'
where to_regclass('public.subscriptions') is not null
  and not exists (select from pg_temp.billing_unique_ids);

-- The app's own queries, and a delete of a user, find their rows by user_id in its own type.
insert into pg_temp.billing_steps (kind, statement)
select 'do', 'create index on public.subscriptions (user_id)'
from pg_catalog.pg_attribute a
where a.attrelid = to_regclass('public.subscriptions') and a.attname = 'user_id'
  and not exists (
    select from pg_catalog.pg_index i
    where i.indrelid = a.attrelid and i.indkey[0] = a.attnum and i.indisvalid and i.indpred is null
      and not exists (select from pg_temp.billing_uniques u where u.index = i.indexrelid));

-- The free tenth of each page keeps a refresh from touching an index.
insert into pg_temp.billing_steps (kind, statement)
select 'do', 'alter table public.subscriptions set (fillfactor = 90)' from pg_catalog.pg_class c
where c.oid = to_regclass('public.subscriptions')
  and coalesce(array_to_string(c.reloptions, ' '), '') !~ 'fillfactor';

-- The service role uses the table; its sequences follow below, when they are all there.
insert into pg_temp.billing_steps (kind, statement)
select 'do', 'grant select, insert, update, delete on public.subscriptions to service_role'
where not has_table_privilege('service_role', to_regclass('public.subscriptions'), 'insert');

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
    and p.polcmd in ('*', case what when 'SELECT' then 'r' when 'INSERT' then 'a'
      when 'UPDATE' then 'w' else 'd' end)
) as allowed
where c.oid = to_regclass('public.subscriptions') and (role, what) <> ('authenticated', 'SELECT')
  and (not c.relrowsecurity or policies is not null)
  and case what when 'DELETE' then has_table_privilege(role, c.oid, what)
    else has_any_column_privilege(role, c.oid, what) end
group by role;

insert into pg_temp.billing_steps (kind, told)
select 'done', format(E'The role %1$I has rights on subscriptions, and row level security, which '
    'is on now, shows it no row. It would read as before with:\ncreate policy %2$I on '
    'public.subscriptions for select to %1$I using (true);', r.rolname, r.rolname || ' reads')
from pg_catalog.pg_class c, aclexplode(c.relacl) as acl join pg_catalog.pg_roles r
  on r.oid = acl.grantee
where c.oid = to_regclass('public.subscriptions') and not c.relrowsecurity and not r.rolbypassrls
  and acl.privilege_type = 'SELECT' and r.oid <> c.relowner
  and r.rolname not in ('anon', 'authenticated', 'service_role');

insert into pg_temp.billing_steps (kind, told)
select 'say', format('The unique %s may refuse the second subscription of a user: %s',
  i.indexrelid::regclass, pg_get_indexdef(i.indexrelid))
from pg_catalog.pg_index i
where i.indrelid = to_regclass('public.subscriptions') and i.indisunique
  and pg_get_indexdef(i.indexrelid) ~ '\m(user_id|stripe_customer_id)\M'
  and pg_get_indexdef(i.indexrelid) !~ '\mstripe_subscription_id\M'
  and not exists (select from pg_temp.billing_uniques u where u.index = i.indexrelid);

insert into pg_temp.billing_steps (kind, told)
select 'say', format(E'The foreign key %I keeps your app from deleting a row of %s that has a '
    'subscription. It would let go with:\nalter table public.subscriptions drop constraint %1$I, '
    'add constraint %1$I %3$s on delete set null;', c.conname, c.confrelid::regclass,
  regexp_replace(pg_get_constraintdef(c.oid), ' ON DELETE RESTRICT', ''))
from pg_catalog.pg_constraint c
join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
where c.conrelid = to_regclass('public.subscriptions') and c.contype = 'f'
  and a.attname = 'user_id' and c.confdeltype in ('a', 'r');

select pg_temp.billing_run(array['do', 'try']);

insert into pg_temp.billing_steps (kind, statement)
select distinct 'do', format('revoke all on sequence %1$s from public, anon, authenticated; '
  'grant usage, select on sequence %1$s to service_role', seq.oid::regclass)
from pg_catalog.pg_class seq
join pg_catalog.pg_depend d on seq.oid in (d.objid, d.refobjid)
left join pg_catalog.pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
where seq.relkind = 'S' and to_regclass('public.subscriptions') in (d.refobjid, f.adrelid)
  and (not has_sequence_privilege('service_role', seq.oid, 'usage')
       or has_sequence_privilege('anon', seq.oid, 'usage, update')
       or has_sequence_privilege('authenticated', seq.oid, 'usage, update'));

select pg_temp.billing_run(array['do']);


-- The trial ---------------------------------------------------------------------------------------

-- Two rows as the service writes them, inserted and updated by the service role, with all that
-- waits for the commit; then each other word that Stripe may say. Whatever refuses is taken out of
-- the way until the rows pass, so that all of it is named at once. Then everything is undone.
do $$
#variable_conflict use_variable
declare
  names text := (select string_agg(quote_ident(name), ', ') from pg_temp.billing_columns);
  one jsonb := (select jsonb_object_agg(name, example) from pg_temp.billing_columns);
  owner text := current_setting('role');
  trier text := case when pg_has_role('service_role', 'member') then 'service_role' else owner end;
  a_user text := null;
  id text; is_stored boolean; told text; way text; for_now text;
  hurdles jsonb := '[]'; words jsonb := '[]';
  word jsonb;
  moved timestamptz;
  item record;
  state text; said text; context text; of_table text; of_column text; of_type text; rule text;
begin
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
  one := jsonb_set(one, '{items}', '[]');
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
          using one into is_stored;
          update public.subscriptions s set as_of = now(), clerk_owner_id = 'user_BillingTrial',
            user_id = (jsonb_populate_record(s.*, jsonb_build_object('user_id', a_user))).user_id
          where s.stripe_subscription_id = id returning s.updated_at into moved;
          if is_stored is not true or not found then
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
      told := null;
      way := null;
      for_now := null;
      if exists (
        select from pg_catalog.pg_constraint k
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and array[a.attnum] = k.conkey
        where k.conrelid = 'public.subscriptions'::regclass and k.conname = rule
          and a.attname = 'plan'
      ) then  -- a plan that is not known is rare: told, no reason to stop
        way := format('alter table public.subscriptions drop constraint %I;', rule);
        words := words || jsonb_build_object('column', 'plan', 'word', 'null', 'by',
          'constraint ' || quote_ident(rule), 'way', way);
        execute way;
        continue;
      elsif rule <> '' and (of_table = 'subscriptions' or of_type <> '') then
        told := format('the %s %s refuses a row of Stripe''s', case state when '23503'
          then 'foreign key' else 'constraint' end, rule);
        way := case
          when of_type <> '' then format('alter domain %s drop constraint %I;', of_type, rule)
          when exists (select from pg_catalog.pg_constraint
            where conrelid = 'public.subscriptions'::regclass and conname = rule)
          then format('alter table public.subscriptions drop constraint %I;', rule)
          else format('drop index public.%I;', rule) end;
      elsif state = '23502' and of_table = 'subscriptions' then
        -- The key that is Stripe's id becomes ours, and stays readable under its name.
        execute format('select exists (select from (select %1$I from public.subscriptions limit '
          '1000) s where s.%1$I::text ~ ''^sub_[A-Za-z0-9]+$'')', of_column) into is_stored;
        select case when not is_key then 'alter %1$I drop not null;'
            when a.atttypid = 'uuid'::regtype then 'alter %1$I set default gen_random_uuid();'
            when t.typcategory = 'S' then 'alter %1$I set default gen_random_uuid()::text;'
            else 'alter %1$I add generated by default as identity (start with 1000000000);' end,
          case when is_key and is_stored and exists (select from pg_temp.billing_steps s
            where s.statement like '%add stripe_subscription_id %')
          then E'rename %1$I to stripe_subscription_id;\nalter table public.subscriptions add %1$I '
            || format_type(a.atttypid, a.atttypmod)
            || ' generated always as (stripe_subscription_id) stored;' end
        into for_now, way
        from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid,
          lateral (select exists (select from pg_catalog.pg_index i where i.indrelid = a.attrelid
            and i.indisprimary and a.attnum = any (i.indkey)) as is_key) as keys
        where a.attrelid = 'public.subscriptions'::regclass and a.attname = of_column;
        told := format('%I is your own, not null and without a default, and nobody fills it',
          of_column) || case when way is null then '' else '. It holds Stripe''s ids, and can be ours'
          end;
        for_now := format('alter table public.subscriptions ' || for_now, of_column);
        way := coalesce(format('alter table public.subscriptions ' || way, of_column), for_now);
      else
        select format('the trigger %s refuses or changes what Stripe says: %s',
            string_agg(t.tgname, ', '), said), string_agg(format(
            'alter table public.subscriptions disable trigger %I;', t.tgname), E'\n')
        into told, way
        from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = 'public.subscriptions'::regclass and not t.tgisinternal
          and t.tgenabled <> 'D' and case state when 'OTHER' then t.tgtype & 3 = 3  -- before, row
            else strpos(context, quote_ident(p.proname) || '(') > 0 end
        having count(*) > 0;
      end if;
      for item in
        select a.attname, pg_get_expr(d.adbin, d.adrelid) as value from pg_catalog.pg_attribute a
        join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where way is null and a.attrelid = 'public.subscriptions'::regclass
          and a.attgenerated = '' and pg_get_expr(d.adbin, d.adrelid) !~ 'nextval'
      loop
        begin
          execute 'select ' || item.value;
        exception when others then
          told := format('the default of %I fails: %s', item.attname, sqlerrm);
          way := format('alter table public.subscriptions alter %1$I drop default, alter %1$I drop '
            'not null;', item.attname);
        end;
      end loop;
      exit when hurdles @> jsonb_build_array(jsonb_build_object('way', way)) or state = '55P04';
      hurdles := hurdles || jsonb_build_object('way', way,
        'told', coalesce(told, 'a row of Stripe''s is refused: ' || said));
      exit when way is null;
      execute coalesce(for_now, way);
    end loop;

    foreach word in array array[
      '{"status": "trialing"}', '{"status": "past_due"}', '{"status": "unpaid"}',
      '{"status": "canceled"}', '{"status": "incomplete"}', '{"status": "incomplete_expired"}',
      '{"status": "paused"}', '{"plan": null}', '{"plan": "any plan of STRIPE_PLANS"}',
      '{"price_id": null, "product_id": null, "quantity": null, "items": null}',
      '{"quantity": 2000000000}', '{"current_period_end": null, "collection_method": null}',
      '{"cancel_at": "2000-03-01T00:00:00Z", "cancel_at_period_end": true}',
      '{"canceled_at": "2000-01-01T00:00:00Z", "ended_at": "2000-01-01T00:00:00Z"}',
      '{"trial_end": "2000-01-15T00:00:00Z", "pause_resumes_at": "2000-01-15T00:00:00Z"}',
      '{"pause_collection": "keep_as_draft", "paused_reason": "pause_requested"}',
      '{"livemode": true}', '{"as_of": null}']::jsonb[]
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
        words := words || (select jsonb_build_object(
            'column', a.attname, 'word', coalesce(word ->> a.attname, 'null'),
            'by', case when rule <> '' then 'constraint ' || quote_ident(rule)
              when t.typtype in ('e', 'd') or t.typcategory = 'N'
              then 'type ' || a.atttypid::regtype
              else format('table (%s)', said) end,
            'way', case when of_type <> '' then null
              when rule <> ''
              then format('alter table public.subscriptions drop constraint %I;', rule)
              when t.typtype = 'e' and a.attname <> 'plan'
              then format('alter type %s add value if not exists %L;', a.atttypid::regtype,
                word ->> a.attname)
              when t.typcategory = 'N' then format('alter table public.subscriptions alter %I type '
                '%s;', a.attname, o.type)
              end)
          from pg_catalog.pg_attribute a join pg_temp.billing_columns o on o.name = a.attname
          join pg_catalog.pg_type t on t.oid = a.atttypid
          where a.attrelid = 'public.subscriptions'::regclass
            and a.attname = (select min(key) from jsonb_object_keys(word) as key));
      end;
    end loop;
    raise exception using errcode = 'TRIAL';
  exception when sqlstate 'TRIAL' then
    null;
  end;

  insert into pg_temp.billing_steps (kind, told, statement)
  select 'mend', h ->> 'told', h ->> 'way' from jsonb_array_elements(hurdles) as h;
  insert into pg_temp.billing_steps (kind, told)
  select 'say', format('The %s refuses %s in subscriptions.%s: such a subscription can''t be '
    'stored.%s', w ->> 'by', string_agg(w ->> 'word', ', ' order by n), w ->> 'column',
    E' This lets it in:\n' || string_agg(distinct w ->> 'way', E'\n'))
  from jsonb_array_elements(words) with ordinality as all_words (w, n)
  group by w ->> 'by', w ->> 'column';
  insert into pg_temp.billing_steps (kind, told)
  select 'say', format('The trigger %s moves updated_at with each write: a refresh that finds '
    'nothing new counts as `refreshed`, never as `unchanged`.', string_agg(t.tgname, ', '))
  from pg_catalog.pg_trigger t
  where moved > '2000-01-01' and t.tgrelid = 'public.subscriptions'::regclass
    and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 19 = 19  -- before, update, row
  having count(*) > 0;
end
$$;

do $$
declare
  problems text; ways text; changes text;
begin
  select string_agg('- ' || told, E'\n' order by n), string_agg(statement, E'\n' order by n)
  into problems, ways from pg_temp.billing_steps where kind = 'mend';
  select coalesce(E'\n\nIt will change this too:\n'
    || string_agg('- ' || told, E'\n' order by n), '')
  into changes from pg_temp.billing_steps where kind = 'done';
  if problems is not null then
    raise exception E'public.subscriptions can''t hold what Stripe says, and nothing was changed:\n'
      '%\n\nThis mends it, all of it together, and then run the migration again:\n%\n\nOr the '
      'table stays as it is and billing gets a schema of its own: `flask portal migrate --schema '
      'billing`, and SUPABASE_SCHEMA=billing for the service.%', problems,
      coalesce(ways, '(what it says has to be mended by hand)'), changes;
  end if;
end
$$;

drop view pg_temp.billing_uniques, pg_temp.billing_unique_ids;
drop function pg_temp.billing_run(text[]);

-- Told now, in the result of the file after this one, and whenever somebody asks.
do $$
declare
  item record;
begin
  if to_regclass('public.subscriptions') is null then
    return;
  end if;
  create schema if not exists billing_private;
  create table if not exists billing_private.notices (
    n bigint generated always as identity primary key,
    noticed_at timestamptz not null default now(),
    source text not null,  -- done: once and for all; else the file that says it as long as it is so
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
end
$$;

commit;
