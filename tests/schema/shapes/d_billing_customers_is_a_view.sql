-- Our name, for a view.
-- ends: refused
-- way out: schema
-- tells: billing_customers
create table users (id uuid primary key, clerk_id text unique, stripe_customer_id text);
create view billing_customers with (security_invoker = on) as
  select clerk_id as clerk_owner_id, true as livemode, stripe_customer_id from users
  where stripe_customer_id is not null;
