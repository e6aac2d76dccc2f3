-- profiles instead of users, with the team's own seam.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: profiles.*stripe_customer_id
create table profiles (
  id uuid primary key default gen_random_uuid(),
  clerk_user_id text unique,
  stripe_customer_id text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references profiles (id) on delete cascade,
  stripe_subscription_id text unique not null,
  status text not null
);
create function billing_user_id(clerk_id text) returns text language sql stable
  security definer set search_path = ''
  as 'select p.id::text from public.profiles p where p.clerk_user_id = billing_user_id.clerk_id';
insert into profiles
  values ('00000000-0000-0000-0000-00000000000a', 'user_old', 'cus_OldPayer000001');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
