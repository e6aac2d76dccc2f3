-- One policy for all commands, for every role: signed-in users write their own rows.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: manage own
-- app authenticated [manage own|insert|write]: insert into subscriptions (user_id, plan) values ('user_old', 'trial') returning plan
-- app authenticated [manage own|update|write]: update subscriptions set plan = 'free' where user_id = 'user_old' returning plan
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id text not null,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  plan text,
  status text
);
create index on subscriptions (user_id);
alter table subscriptions enable row level security;
create policy "manage own" on subscriptions
  using (user_id = auth.jwt() ->> 'sub') with check (user_id = auth.jwt() ->> 'sub');
create function billing_user_id(clerk_id text) returns text language sql stable
  security definer set search_path = '' as 'select clerk_id';
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan, status)
  values ('user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'pro', 'active');
