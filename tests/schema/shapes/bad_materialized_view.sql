-- A materialized view.
-- ends: refused
-- tells: subscriptions.*materialized view|materialized view.*subscriptions
create table raw_subscriptions (id text primary key, user_id uuid, status text);
create materialized view subscriptions as select * from raw_subscriptions;
