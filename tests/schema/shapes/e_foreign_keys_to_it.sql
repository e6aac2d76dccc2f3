-- Other tables of the team's point at what would be dropped: a foreign key needs its unique.
-- ends: either
-- way out: statements
-- tells: subscriptions_user_id_key|seats_owner_fkey
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null unique references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create table seats (
  owner uuid constraint seats_owner_fkey references subscriptions (user_id) on delete cascade,
  mail text
);
create index on seats (owner);
