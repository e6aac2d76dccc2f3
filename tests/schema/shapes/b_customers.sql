-- Who pays stands in customers, whose id is the user's.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: customers\.stripe_customer_id|customers.*stripe_customer_id
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table customers (id uuid primary key references users (id), stripe_customer_id text);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text,
  price_id text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into customers values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
