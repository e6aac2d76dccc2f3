-- A rule: Postgres refuses `on conflict` on a table that has one for inserts or updates.
-- ends: either
-- way out: statements
-- tells: keep_canceled
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create rule keep_canceled as on update to subscriptions
  where old.status = 'canceled' do instead nothing;
