-- Text without regard to case, by Postgres' own extension.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create extension citext;
create table users (id uuid primary key default gen_random_uuid(), clerk_id citext unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id citext,
  stripe_subscription_id citext unique,
  plan citext,
  status citext
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
