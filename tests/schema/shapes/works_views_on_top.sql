-- A view, and a materialized view, read the table: types of columns that they use can't change.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: current_period_end
-- app service_role: select * from active_subscriptions
-- app service_role: select * from monthly_revenue
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  stripe_customer_id text not null,
  stripe_subscription_id text not null unique,
  status text not null,
  price_cents integer,
  current_period_end timestamp
);
create index on subscriptions (user_id);
create view active_subscriptions with (security_invoker = on) as
  select user_id, status, current_period_end from subscriptions where status = 'active';
create materialized view monthly_revenue as
  select status, sum(price_cents) as cents from subscriptions group by status;
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status,
    price_cents, current_period_end)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active', 900, '2027-01-01');
refresh materialized view monthly_revenue;
