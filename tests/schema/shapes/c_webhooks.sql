-- Addresses that want to hear of events.
-- ends: refused
-- way out: schema
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  url text,
  events text[] default '{}',
  secret text,
  active boolean default true
);
insert into subscriptions (url) values ('https://hooks.example.com');
