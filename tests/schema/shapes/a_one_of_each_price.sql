-- A user can't buy the same price twice, and the team's own references are unique, null too.
-- ends: either
-- tells: subscriptions_reference_key
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  price_id text,
  reference text,
  status text,
  unique (user_id, price_id),
  unique nulls not distinct (reference)
);
