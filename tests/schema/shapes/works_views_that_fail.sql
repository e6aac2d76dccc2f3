-- Views that can't be read, with columns that sound like Stripe's: looking must not read them.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create view my_customers with (security_invoker = on) as
  select auth.uid() as user_id, 'cus_' || (1 / 0)::text as stripe_customer_id
  from users where false;
create view tenants with (security_invoker = on) as
  select current_setting('app.tenant') as tenant, clerk_id as stripe_customer_id from users;
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
