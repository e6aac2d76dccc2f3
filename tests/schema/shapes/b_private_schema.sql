-- Who pays stands in a schema of its own, where the API does not reach.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: private\.payers
create schema private;
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table private.payers (
  user_id uuid primary key references public.users (id) on delete cascade,
  stripe_customer text not null
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into private.payers values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001');
insert into subscriptions (user_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'sub_OldPayer0000000000000001', 'active');
