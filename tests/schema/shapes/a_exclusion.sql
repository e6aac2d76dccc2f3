-- An exclusion constraint: no second row of a user.
-- ends: either
-- tells: only_one
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  constraint only_one exclude using btree (user_id with =) where (status = 'active')
);
