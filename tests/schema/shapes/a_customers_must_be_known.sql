-- The customer has to be in the team's table first.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscriptions_stripe_customer_id_fkey
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table customers (
  stripe_customer_id text primary key,
  user_id uuid not null references users (id) on delete cascade
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text not null references customers (stripe_customer_id),
  stripe_subscription_id text unique,
  status text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into customers values ('cus_OldPayer000001', '00000000-0000-0000-0000-00000000000a');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
