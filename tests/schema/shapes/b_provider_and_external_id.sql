-- Made for any processor: Stripe's ids stand under names that say nothing of it.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: external_id
-- tells: external_customer
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  provider text not null default 'stripe',
  external_id text,
  external_customer text,
  plan text not null default 'free',
  status text not null default 'active',
  current_period_end timestamptz,
  unique (provider, external_id)
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old'),
  ('00000000-0000-0000-0000-00000000000b', 'user_free');
insert into subscriptions (user_id, provider, external_id, external_customer) values
  ('00000000-0000-0000-0000-00000000000a', 'stripe', 'sub_OldPayer0000000000000001',
    'cus_OldPayer000001'),
  ('00000000-0000-0000-0000-00000000000b', 'paypal', 'I-2042', 'P-77');
