-- Our name for who pays, in a table of the team's that is not keyed by Clerk's id.
-- ends: refused
-- way out: schema
-- payer: user_old cus_OldPayer000001
-- tells: billing_customers
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table billing_customers (
  user_id uuid primary key references users (id) on delete cascade,
  stripe_customer_id text unique not null,
  stripe_subscription_id text unique,
  created_at timestamptz not null default now()
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into billing_customers values ('00000000-0000-0000-0000-00000000000a',
  'cus_OldPayer000001', 'sub_OldPayer0000000000000001');
