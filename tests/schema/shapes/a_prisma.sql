-- Prisma's quoted names: ours are added beside them, and theirs stay not null.
-- ends: either
-- way out: statements
-- tells: userId
-- tells: stripeSubscriptionId
-- tells: updatedAt
create table users (id text primary key, "clerkId" text unique not null, clerk_id text);
create table subscriptions (
  id text not null,
  "userId" text not null,
  "stripeCustomerId" text not null,
  "stripeSubscriptionId" text not null,
  "stripePriceId" text not null,
  status text not null,
  "currentPeriodEnd" timestamp(3) not null,
  "createdAt" timestamp(3) not null default current_timestamp,
  "updatedAt" timestamp(3) not null,
  constraint subscriptions_pkey primary key (id)
);
create unique index "subscriptions_stripeSubscriptionId_key"
  on subscriptions ("stripeSubscriptionId");
insert into users values ('a', 'user_old', 'user_old');
insert into subscriptions values ('s1', 'a', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001',
  'price_OldPrice00000000000001', 'active', '2027-01-01', now(), now());
