-- The team's own seam, with another name for its argument and another type of result.
-- ends: works
-- buyer: user_old 00000000-0000-0000-0000-00000000000a
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table people (person uuid primary key default gen_random_uuid(), clerk text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references people (person) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create index on subscriptions (user_id);
create function billing_user_id(whom text) returns uuid language sql stable
  security definer set search_path = public as 'select person from people where clerk = whom';
insert into people values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
