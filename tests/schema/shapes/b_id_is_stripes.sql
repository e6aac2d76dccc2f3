-- id is Stripe's id, the customer stands beside it.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: \bid\b
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id text primary key,
  user_id uuid not null references users (id) on delete cascade,
  stripe_customer_id text not null,
  status text not null,
  plan text
);
create index on subscriptions (user_id);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions values ('sub_OldPayer0000000000000001',
  '00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001', 'active', 'pro');
