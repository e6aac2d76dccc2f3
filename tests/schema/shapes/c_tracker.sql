-- An app in which people note what they pay elsewhere: Netflix, gyms. It has a status, a plan and
-- a price; nothing in it refuses a row of ours.
-- ends: refused
-- way out: schema
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  name text default 'New',
  description text,
  url text,
  price numeric(10, 2) default 0,
  currency text default 'USD',
  billing_cycle text default 'monthly',
  renewal_date date,
  status text default 'active',
  category text,
  notes text,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, name, price)
  values ('00000000-0000-0000-0000-00000000000a', 'Films', 12.99);
