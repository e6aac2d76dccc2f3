-- The same with quoted names, none of them not null.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: stripeCustomerId
-- tells: stripeSubscriptionId
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  "stripeCustomerId" text unique,
  "stripeSubscriptionId" text unique,
  "stripePriceId" text,
  status text,
  "currentPeriodEnd" timestamp(3)
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, "stripeCustomerId", "stripeSubscriptionId", status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
