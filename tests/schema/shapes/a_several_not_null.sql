-- Columns of the team's own that nobody but its own webhook fills, several at once, and one of
-- them a key into a table of plans.
-- ends: either
-- way out: statements
-- tells: \btier\b
-- tells: plan_id
-- tells: stripe_price_id
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table plans (id uuid primary key default gen_random_uuid(), name text unique not null);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  plan_id uuid not null references plans (id),
  tier text not null check (tier in ('supporter', 'champion')),
  stripe_price_id text not null,
  stripe_customer_id text,
  stripe_subscription_id text unique not null,
  status text not null
);
create index on subscriptions (plan_id);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into plans (name) values ('supporter');
insert into subscriptions (user_id, plan_id, tier, stripe_price_id, stripe_customer_id,
    stripe_subscription_id, status)
  select '00000000-0000-0000-0000-00000000000a', id, 'supporter', 'price_OldPrice00000000000001',
    'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active' from plans;
