-- A school sells terms at its desk, without Stripe.
-- ends: refused
-- way out: schema
create table profiles (id uuid primary key default gen_random_uuid(), name text);
create table subscription_plans (id serial primary key, duration_days integer);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  student_id uuid not null references profiles (id),
  plan_id integer not null references subscription_plans (id),
  start_date date not null default current_date,
  end_date date not null default current_date,
  paid_amount numeric not null check (paid_amount >= 0),
  sold_by uuid references profiles (id),
  created_at timestamptz not null default now()
);
create index on subscriptions (student_id);
create index on subscriptions (plan_id);
create index on subscriptions (sold_by);
