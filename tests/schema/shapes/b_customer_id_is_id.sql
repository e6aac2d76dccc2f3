-- The key of customers is Stripe's id itself.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: customers
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table customers (
  id text primary key,
  user_id uuid unique references users (id) on delete cascade,
  email text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into customers
  values ('cus_OldPayer000001', '00000000-0000-0000-0000-00000000000a', 'old@example.com');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
