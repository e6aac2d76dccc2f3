-- Prisma's enums: none of Stripe's words is among them.
-- ends: refused
-- way out: statements
-- tells: SubscriptionStatus.*active
create type "SubscriptionStatus" as enum ('ACTIVE', 'TRIALING', 'PAST_DUE', 'CANCELED');
create table users (id text primary key, clerk_id text unique);
create table subscriptions (
  id text primary key default gen_random_uuid()::text,
  user_id text not null unique references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status "SubscriptionStatus" not null default 'ACTIVE',
  current_period_end timestamp(3),
  created_at timestamp(3) not null default current_timestamp,
  updated_at timestamp(3) not null
);
insert into users values ('a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, updated_at)
  values ('a', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', now());
