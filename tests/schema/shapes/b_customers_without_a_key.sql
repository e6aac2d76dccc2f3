-- customers names the user, but no foreign key says so, as where both point at auth.users.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: customers.*stripe_customer_id
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table customers (id uuid primary key, stripe_customer_id text);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  stripe_subscription_id text unique,
  status text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old'),
  ('00000000-0000-0000-0000-00000000000b', 'user_free');
insert into customers values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001'),
  ('00000000-0000-0000-0000-00000000000b', null);
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
