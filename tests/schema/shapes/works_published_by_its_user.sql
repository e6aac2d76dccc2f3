-- user_id is the primary key, and Realtime publishes the table: without a key no update would pass.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscriptions_pkey
-- app service_role: update subscriptions set status = 'past_due' where user_id = '00000000-0000-0000-0000-00000000000a' returning status
create table profiles (id uuid primary key, clerk_id text unique);
create table subscriptions (
  user_id uuid primary key references profiles (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text,
  plan text check (plan in ('light', 'standard', 'pro')),
  status text,
  trial_end timestamptz,
  current_period_end timestamptz,
  updated_at timestamptz not null default now()
);
create publication supabase_realtime for table subscriptions;
create function billing_user_id(clerk_id text) returns text language sql stable
  security definer set search_path = ''
  as 'select p.id::text from public.profiles p where p.clerk_id = billing_user_id.clerk_id';
insert into profiles values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'pro', 'active');
