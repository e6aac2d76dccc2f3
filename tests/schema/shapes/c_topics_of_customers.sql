-- Which customer hears of what, by which way.
-- ends: refused
-- way out: schema
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  customer_id text,
  topic text,
  channel text default 'mail',
  status text default 'on'
);
insert into subscriptions (customer_id, topic) values ('C-1042', 'outages');
