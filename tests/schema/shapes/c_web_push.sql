-- Browsers that want push messages.
-- ends: refused
-- way out: schema
create table subscriptions (
  id bigint primary key generated always as identity,
  user_id text,
  endpoint text unique,
  p256dh text,
  auth text,
  created_at timestamptz default now()
);
insert into subscriptions (user_id, endpoint) values ('user_old', 'https://push.example.com/1');
