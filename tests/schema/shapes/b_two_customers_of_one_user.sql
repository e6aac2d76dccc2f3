-- A user has two customers: what is printed must take one over, not fail on the second.
-- ends: works
-- payer: user_old cus_Old(Payer000001|Other000002)
-- tells: stripe_customers
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table stripe_customers (
  id serial primary key,
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text unique
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into stripe_customers (user_id, stripe_customer_id) values
  ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001'),
  ('00000000-0000-0000-0000-00000000000a', 'cus_OldOther000002');
