-- The same app, whose team did not read on: user_id is Clerk's id, and nothing tells us so but
-- its values. Without the seam an old payer would be unknown, and could buy again.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: billing_user_id
-- app authenticated: select stripe_subscription_id, status from subscriptions
create table subscriptions (
  user_id text primary key,
  stripe_customer_id text unique,
  stripe_subscription_id text,
  plan text not null default 'free',
  status text not null default 'active',
  current_period_end timestamptz
);
alter table subscriptions enable row level security;
create policy "own row" on subscriptions for select
  using (user_id = (select auth.jwt() ->> 'sub'));
insert into subscriptions
  values ('user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'pro', 'active');
