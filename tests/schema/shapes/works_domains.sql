-- Domains that take every id of Stripe's, and an enum that knows every status.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create domain stripe_id as text check (value ~ '^[a-z]+_[A-Za-z0-9]+$');
create type sub_status as enum ('incomplete', 'incomplete_expired', 'trialing', 'active',
  'past_due', 'canceled', 'unpaid', 'paused');
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id stripe_id,
  stripe_subscription_id stripe_id unique,
  status sub_status not null default 'incomplete',
  price_id stripe_id,
  quantity smallint
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
