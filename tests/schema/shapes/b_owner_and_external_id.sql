-- Clerk's id is users.external_id, and customers have an owner_id without a foreign key.
-- ends: works
-- payer: user_old cus_OldPayer000001
-- tells: customers.*stripe_customer_id
create table users (id uuid primary key default gen_random_uuid(), external_id text unique);
create table customers (
  id serial primary key,
  owner_id uuid,
  stripe_customer_id text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_old'),
  ('00000000-0000-0000-0000-00000000000b', 'user_admin');
insert into customers (owner_id, stripe_customer_id)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
