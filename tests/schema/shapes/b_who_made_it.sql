-- Two keys to users: who pays, and who on the team made the entry. Only one of them pays.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: customers.*stripe_customer_id
create table users (id serial primary key, clerk_id text unique);
create table customers (
  id serial primary key,
  created_by integer references users (id),
  approved_by integer references users (id),
  user_id integer references users (id) on delete cascade,
  stripe_customer_id text unique
);
create table subscriptions (
  id serial primary key,
  user_id integer references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users values (1, 'user_admin'), (7, 'user_old');
insert into customers values (3, 1, 1, 7, 'cus_OldPayer000001');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values (7, 'sub_OldPayer0000000000000001', 'active');
