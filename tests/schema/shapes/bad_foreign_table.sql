-- Stripe's own list, through a wrapper.
-- ends: refused
-- tells: subscriptions.*foreign table|foreign table.*subscriptions
-- as supabase_admin
create extension postgres_fdw;
create server stripe_server foreign data wrapper postgres_fdw
  options (host '127.0.0.1', port '1', dbname 'stripe');
create user mapping for public server stripe_server options (user 'nobody', password 'none');
create foreign table public.subscriptions (id text, customer text) server stripe_server;
grant select on public.subscriptions to postgres;
