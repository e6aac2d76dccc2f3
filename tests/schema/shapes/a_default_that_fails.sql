-- The tenant comes from a setting that the team's own server makes with each connection.
-- ends: either
-- way out: statements
-- tells: tenant_id|app\.tenant
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null default current_setting('app.tenant')::uuid,
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
