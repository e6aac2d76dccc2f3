-- A table of a type: no column can be added to it.
-- ends: refused
-- tells: \bsubscriptions\b
create type agreement as (
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text
);
create table subscriptions of agreement;
