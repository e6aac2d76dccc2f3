-- users is a view over the table of accounts, as a team leaves it after a refactoring.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table accounts (id uuid primary key, clerk_id text unique, gone boolean default false);
create view users with (security_invoker = on) as select id, clerk_id from accounts where not gone;
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references accounts (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
insert into accounts values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
