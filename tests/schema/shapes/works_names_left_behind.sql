-- An earlier table was renamed out of the way, but its indexes keep their names, which are ours.
-- The present one has partial indexes of such names.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- app service_role: select count(*) from subscriptions_2024
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions_2024 (
  user_id uuid,
  stripe_subscription_id text constraint subscriptions_pkey primary key,
  revision integer
);
create index subscriptions_user_id_idx on subscriptions_2024 (user_id);
create index subscriptions_clerk_owner_id_idx on subscriptions_2024 (revision);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text
);
create index subscriptions_user_id_text_idx on subscriptions ((user_id::text))
  where status = 'active';
create index subscriptions_stripe_customer_id_idx on subscriptions (stripe_customer_id)
  where status = 'active';
create unique index subscriptions_stripe_subscription_id_key
  on subscriptions (stripe_subscription_id) where status = 'active';
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
