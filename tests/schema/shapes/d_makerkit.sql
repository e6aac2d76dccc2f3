-- A bought kit: billing_customers, subscriptions and upsert_subscription are all there already,
-- all of another shape.
-- ends: refused
-- way out: schema
-- tells: billing_customers
create type subscription_status as enum ('active', 'trialing', 'past_due', 'canceled', 'unpaid',
  'incomplete', 'incomplete_expired', 'paused');
create type billing_provider as enum ('stripe', 'lemon-squeezy', 'paddle');
create table accounts (id uuid primary key default gen_random_uuid(), name text);
create table billing_customers (
  id serial primary key,
  account_id uuid not null references accounts (id) on delete cascade,
  provider billing_provider not null,
  email text,
  customer_id text not null,
  unique (account_id, customer_id, provider)
);
create table subscriptions (
  id text primary key,
  account_id uuid not null references accounts (id) on delete cascade,
  billing_customer_id integer not null references billing_customers (id) on delete cascade,
  status subscription_status not null,
  active boolean not null,
  billing_provider billing_provider not null,
  cancel_at_period_end boolean not null,
  currency varchar(3) not null,
  period_starts_at timestamptz not null,
  period_ends_at timestamptz not null,
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create index on subscriptions (account_id);
create index on subscriptions (billing_customer_id);
create function upsert_subscription(target_account_id uuid, target_customer_id text,
  target_subscription_id text, active boolean, status subscription_status)
  returns subscriptions language plpgsql set search_path = public
  as 'declare it subscriptions; begin return it; end';
insert into accounts values ('00000000-0000-0000-0000-00000000000a', 'Old Ltd');
insert into billing_customers (account_id, provider, customer_id)
  values ('00000000-0000-0000-0000-00000000000a', 'stripe', 'cus_OldPayer000001');
insert into subscriptions values ('sub_OldPayer0000000000000001',
  '00000000-0000-0000-0000-00000000000a', 1, 'active', true, 'stripe', false, 'usd', now(), now());
