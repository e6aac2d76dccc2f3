-- Columns too short for Stripe's ids of today.
-- ends: either
-- way out: statements
-- tells: stripe_subscription_id
-- tells: price_id
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id varchar(18),
  stripe_subscription_id varchar(20) unique,
  price_id varchar(16),
  status varchar(20)
);
