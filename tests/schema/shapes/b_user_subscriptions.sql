-- There is no table of our name, and everything stands in user_subscriptions.
-- ends: works
-- payer: user_old cus_OldPayer000001
-- tells: user_subscriptions
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table user_subscriptions (
  user_id uuid primary key references users (id) on delete cascade,
  stripe_customer_id text unique,
  stripe_subscription_id text,
  status text not null default 'none',
  current_period_end timestamptz
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into user_subscriptions values ('00000000-0000-0000-0000-00000000000a',
  'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active', '2027-01-01');
