-- Columns with our names that Postgres computes: nobody can write them.
-- ends: either
-- way out: statements
-- tells: \bplan\b
-- tells: cancel_at_period_end
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  price_id text,
  cancel_at timestamptz,
  status text,
  plan text generated always as (case price_id when 'price_1' then 'pro' else 'free' end) stored,
  cancel_at_period_end boolean generated always as (cancel_at is not null) stored
);
