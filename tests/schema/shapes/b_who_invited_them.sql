-- Two ids of Clerk's in one row of users: the user's, and that of whoever invited them.
-- ends: works
-- payer: user_old cus_OldPayer000001
-- tells: users.*stripe_customer_id
create table users (
  id uuid primary key default gen_random_uuid(),
  added_by text,
  clerk_id text unique not null,
  invited_by text,
  stripe_customer_id text unique
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users (added_by, clerk_id, invited_by, stripe_customer_id) values
  (null, 'user_admin', null, null),
  ('user_admin', 'user_old', 'user_admin', 'cus_OldPayer000001');
