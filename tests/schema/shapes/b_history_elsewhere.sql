-- Many tables hold ids of Stripe's: what was paid, what Stripe sent, what its sync engine copied.
-- Who pays now stands with the users alone, beside values that are no ids.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: users.*stripe_customer_id
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text unique,
  stripe_customer_id text
);
create table payments (
  id serial primary key,
  user_id uuid references users (id) on delete cascade,
  customer text,
  cents integer
);
create table stripe_events (id text primary key, customer text, payload jsonb);
create schema stripe;
create table stripe.customers (id text primary key, email text, deleted boolean);
create table stripe.subscriptions (id text primary key, customer text, status text);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users (id, clerk_id, stripe_customer_id) values
  ('00000000-0000-0000-0000-00000000000a', 'user_old', 'cus_OldPayer000001'),
  ('00000000-0000-0000-0000-00000000000b', 'user_free', ''),
  ('00000000-0000-0000-0000-00000000000c', null, 'cus_NoLongerHere01'),
  ('00000000-0000-0000-0000-00000000000d', 'user_none', 'none');
insert into payments (user_id, customer, cents) values
  ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001', 900),
  ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001', 900);
insert into stripe_events values
  ('evt_1', 'cus_OldPayer000001', '{"customer": "cus_OldPayer000001"}'),
  ('evt_2', 'cus_NoLongerHere01', '{"customer": "cus_NoLongerHere01"}');
insert into stripe.customers values ('cus_OldPayer000001', 'old@example.com', false);
insert into stripe.subscriptions
  values ('sub_OldPayer0000000000000001', 'cus_OldPayer000001', 'active');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
