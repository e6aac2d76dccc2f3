-- The Next.js tutorial's table: one subscription a user, found by user_id.
-- ends: works
-- buyer: user_old 00000000-0000-0000-0000-00000000000a
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscriptions_user_id_key
-- tells: on ?conflict
-- tells: \bsingle|\blist\b|\barray\b
-- app service_role: select status, plan, stripe_customer_id, current_period_end from subscriptions where user_id = '00000000-0000-0000-0000-00000000000a'
-- app service_role: update subscriptions set plan = 'free' where stripe_subscription_id = 'sub_OldPayer0000000000000001' returning plan
-- app service_role: delete from users where clerk_id = 'user_old' returning clerk_id
-- app service_role [on ?conflict]: insert into subscriptions (user_id, stripe_customer_id) values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001') on conflict (user_id) do update set plan = 'pro' returning plan
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text unique not null,
  email text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null unique references users (id) on delete cascade,
  stripe_customer_id text not null unique,
  stripe_subscription_id text unique,
  status text not null default 'active',
  plan text not null default 'free',
  current_period_end timestamptz,
  updated_at timestamptz not null default now()
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old'),
  ('00000000-0000-0000-0000-00000000000b', 'user_free');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan,
    current_period_end)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'pro', '2027-01-01'),
  ('00000000-0000-0000-0000-00000000000b', 'cus_FreeUser000002', null, 'free', null);
