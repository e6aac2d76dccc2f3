-- A check whose words are none of Stripe's.
-- ends: refused
-- way out: statements
-- tells: subscriptions_status_check
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text not null default 'none' check (status in ('none', 'paid', 'unpaid', 'expired'))
);
