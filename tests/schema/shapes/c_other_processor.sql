-- Billing, by another processor until now. A team that moves may want either: its rows upgraded
-- as they are, or ours apart from them; never silence.
-- ends: either
-- app service_role: select user_id, status, current_period_end from subscriptions
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  user_id uuid primary key references users (id) on delete cascade,
  status text not null default 'inactive',
  product_id text,
  polar_customer_id text,
  polar_subscription_id text unique,
  current_period_end timestamptz,
  cancel_at_period_end boolean not null default false,
  updated_at timestamptz not null default now()
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, status, polar_subscription_id)
  values ('00000000-0000-0000-0000-00000000000a', 'active', '7d1f');
