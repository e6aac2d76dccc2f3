-- Stripe's own list, through a wrapper.
-- ends: refused
-- tells: subscriptions.*foreign table|foreign table.*subscriptions
-- as supabase_admin
create foreign data wrapper stripe_wrapper;
create server stripe_server foreign data wrapper stripe_wrapper;
create foreign table public.subscriptions (id text, customer text) server stripe_server;
grant select on public.subscriptions to postgres;
