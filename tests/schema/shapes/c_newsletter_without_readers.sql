-- The same before its first reader, with nothing that would refuse a row of ours.
-- ends: refused
-- way out: schema
create table subscriptions (
  id serial primary key,
  email text,
  name text,
  status text default 'pending',
  unsubscribed_at timestamptz,
  created_at timestamptz default now()
);
