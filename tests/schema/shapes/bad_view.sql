-- A view over the processor's own table.
-- ends: refused
-- tells: subscriptions.*view|view.*subscriptions
create table raw_subscriptions (id text primary key, user_id uuid, status text);
create view subscriptions with (security_invoker = on) as select * from raw_subscriptions;
