-- Clerk's own guide: user_id is Clerk's id. The team read the README and wrote the seam first.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- app authenticated: select stripe_subscription_id, status from subscriptions
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id text not null default (auth.jwt() ->> 'sub'),
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create index on subscriptions (user_id);
alter table subscriptions enable row level security;
create policy "own rows" on subscriptions for select to authenticated
  using ((select auth.jwt() ->> 'sub') = user_id);
create function billing_user_id(clerk_id text) returns text language sql stable
  security definer set search_path = '' as 'select clerk_id';
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active');
