-- Made long ago in the dashboard, and owned by a role that the migration is not.
-- ends: refused
-- tells: supabase_admin
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
-- as supabase_admin
create table public.subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
grant all on public.subscriptions to postgres, anon, authenticated, service_role;
