-- Organizations have a key of the app's, and Clerk's id beside it.
-- ends: works
-- payer: org_old cus_OldPayer000001
-- tells: organizations.*stripe_customer_id
create table organizations (
  id uuid primary key default gen_random_uuid(),
  clerk_org_id text unique not null,
  stripe_customer_id text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid references organizations (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
create index on subscriptions (organization_id);
insert into organizations (clerk_org_id, stripe_customer_id)
  values ('org_old', 'cus_OldPayer000001');
insert into subscriptions (organization_id, stripe_subscription_id, status)
  select id, 'sub_OldPayer0000000000000001', 'active' from organizations;
