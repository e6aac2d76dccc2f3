-- Foreign tables that ask Stripe itself, whose server does not answer: looking for ids must not
-- read them.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text unique,
  stripe_customer_id text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_old', 'cus_OldPayer000001');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
-- as supabase_admin
create extension postgres_fdw;
create server stripe_server foreign data wrapper postgres_fdw
  options (host '127.0.0.1', port '1', dbname 'stripe');
create user mapping for public server stripe_server options (user 'nobody', password 'none');
create schema stripe;
create foreign table stripe.customers (id text, email text, attrs jsonb) server stripe_server;
create foreign table public.stripe_subscriptions (id text, customer text) server stripe_server;
grant select on public.stripe_subscriptions to postgres;
