-- Our function's name with one argument of our type: a call by PostgREST could mean either.
-- ends: refused
-- way out: schema
-- tells: upsert_subscription
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function upsert_subscription(subscription jsonb) returns jsonb language sql
  as 'select subscription';
