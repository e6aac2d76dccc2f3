-- id would have a default, but the team's webhook writes Stripe's id into it.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: \bid\b
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id text primary key default gen_random_uuid()::text,
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  status text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions values ('sub_OldPayer0000000000000001',
  '00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001', 'active');
