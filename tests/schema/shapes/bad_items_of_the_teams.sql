-- items and revision are the team's, and of other types.
-- ends: either
-- tells: \bitems\b
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  items integer not null default 1,
  revision text
);
