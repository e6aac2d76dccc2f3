-- A partitioned table has no unique index on a column that is not its key.
-- ends: refused
-- tells: partition
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text,
  created_at timestamptz not null default now(),
  primary key (id, created_at)
) partition by range (created_at);
create table subscriptions_all partition of subscriptions default;
