-- The Vercel starter after the move to Clerk: id is Stripe's id, price_id points into a table that
-- its own sync fills, and who pays stands in customers.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: \bid\b
-- tells: subscriptions_price_id_fkey|price_id
-- app service_role: select id, status, price_id from subscriptions where user_id = '00000000-0000-0000-0000-00000000000a'
create type subscription_status as enum ('trialing', 'active', 'canceled', 'incomplete',
  'incomplete_expired', 'past_due', 'unpaid', 'paused');
create table users (id uuid primary key, clerk_id text unique, full_name text);
create table customers (id uuid primary key, stripe_customer_id text);
alter table customers enable row level security;
create table products (id text primary key, active boolean, name text);
create table prices (id text primary key, product_id text references products, active boolean);
create table subscriptions (
  id text primary key,
  user_id uuid not null,
  status subscription_status,
  metadata jsonb,
  price_id text references prices (id),
  quantity integer,
  cancel_at_period_end boolean,
  created timestamptz not null default timezone('utc', now()),
  current_period_start timestamptz not null default timezone('utc', now()),
  current_period_end timestamptz not null default timezone('utc', now()),
  ended_at timestamptz default timezone('utc', now()),
  canceled_at timestamptz default timezone('utc', now())
);
alter table subscriptions enable row level security;
create policy "own" on subscriptions for select using (auth.uid() = user_id);
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into customers values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001');
insert into products values ('prod_OldProduct01', true, 'Pro');
insert into prices values ('price_OldPrice00000000000001', 'prod_OldProduct01', true);
insert into subscriptions (id, user_id, status, price_id, ended_at, canceled_at)
  values ('sub_OldPayer0000000000000001', '00000000-0000-0000-0000-00000000000a', 'active',
    'price_OldPrice00000000000001', null, null);
