-- A tracker whose people note when a trial ends and which plan they are on: our names, not our
-- matter.
-- ends: refused
-- way out: schema
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  service_name text default '',
  logo_url text,
  plan text,
  amount numeric(12, 2) default 0,
  currency text default 'EUR',
  billing_cycle text default 'monthly',
  next_billing_date date,
  trial_end_date date,
  payment_method text,
  status text default 'active',
  created_at timestamptz default now()
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, service_name, plan, amount)
  values ('00000000-0000-0000-0000-00000000000a', 'Films', 'Family', 17.99);
