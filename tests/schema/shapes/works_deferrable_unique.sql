-- SQLAlchemy can defer a unique constraint, and `on conflict` fails on such a one.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: uq_subscriptions_sub
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id serial primary key,
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text not null,
  status text,
  constraint uq_subscriptions_sub unique (stripe_subscription_id) deferrable initially deferred
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
