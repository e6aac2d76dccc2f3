-- The table points at a row of customers, which has the user and Stripe's id.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: customers.*stripe_id
create table users (id serial primary key, clerk_id text unique);
create table customers (
  id serial primary key,
  user_id integer references users (id) on delete cascade,
  stripe_id text unique
);
create table subscriptions (
  id serial primary key,
  user_id integer references users (id) on delete cascade,
  customer_id integer references customers (id),
  stripe_subscription_id text unique,
  status text
);
create index on subscriptions (customer_id);
insert into users values (7, 'user_old');
insert into customers values (3, 7, 'cus_OldPayer000001');
insert into subscriptions (user_id, customer_id, stripe_subscription_id, status)
  values (7, 3, 'sub_OldPayer0000000000000001', 'active');
