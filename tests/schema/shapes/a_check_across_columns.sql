-- Each column by itself would pass; together they don't.
-- ends: either
-- way out: statements
-- tells: paid_by_somebody
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  team_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  constraint paid_by_somebody check (num_nonnulls(user_id, team_id) = 1)
);
