-- The app's server reads by a role of its own, which does not pass row level security.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: pg_monitor
-- app pg_monitor [pg_monitor]: select status from subscriptions where stripe_subscription_id = 'sub_OldPayer0000000000000001'
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
grant usage on schema public to pg_monitor;
grant select on subscriptions to pg_monitor;
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
