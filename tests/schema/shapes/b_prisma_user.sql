-- Prisma's "User", with quoted columns.
-- ends: works
-- payer: user_old cus_OldPayer000001
-- tells: User.*stripeCustomerId
create table "User" (
  id text primary key,
  "clerkId" text unique not null,
  email text,
  "stripeCustomerId" text unique,
  "stripeSubscriptionId" text unique,
  "stripePriceId" text,
  "stripeCurrentPeriodEnd" timestamp(3)
);
insert into "User" (id, "clerkId", "stripeCustomerId", "stripeSubscriptionId")
  values ('cm1', 'user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001');
