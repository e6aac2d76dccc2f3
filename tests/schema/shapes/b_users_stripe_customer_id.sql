-- Who pays stands in the row of the user.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: users.*stripe_customer_id
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text unique,
  stripe_customer_id text unique
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique not null,
  status text not null,
  plan text
);
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_old', 'cus_OldPayer000001'),
  ('00000000-0000-0000-0000-00000000000b', 'user_free', null);
insert into subscriptions (user_id, stripe_subscription_id, status, plan)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active', 'pro');
