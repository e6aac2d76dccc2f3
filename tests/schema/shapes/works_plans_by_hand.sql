-- Billing, but nothing of Stripe's yet: the team set plans by hand.
-- ends: works
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  user_id uuid primary key references users (id) on delete cascade,
  status text not null default 'active',
  plan text not null default 'free',
  current_period_end timestamptz,
  free_trial_ends_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, plan) values ('00000000-0000-0000-0000-00000000000a', 'pro');
