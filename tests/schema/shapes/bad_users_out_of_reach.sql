-- The table of users belongs to another role, and the migration's may not read it.
-- ends: either
-- tells: \busers\b
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
-- as supabase_admin
create table public.users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
