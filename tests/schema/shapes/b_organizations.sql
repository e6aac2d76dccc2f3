-- Organizations pay: their id is Clerk's, and the customer stands with them.
-- ends: works
-- payer: org_old cus_OldPayer000001
-- tells: organizations.*stripe_customer_id
create table organizations (id text primary key, name text, stripe_customer_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  organization_id text references organizations (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
create index on subscriptions (organization_id);
insert into organizations values ('org_old', 'Old Ltd', 'cus_OldPayer000001');
insert into subscriptions (organization_id, stripe_subscription_id, status)
  values ('org_old', 'sub_OldPayer0000000000000001', 'active');
