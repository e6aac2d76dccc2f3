-- Stripe's seconds since 1970 as they come, and a flag as text.
-- ends: refused
-- way out: statements
-- tells: current_period_end
-- tells: cancel_at_period_end
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  current_period_end bigint,
  trial_end integer,
  cancel_at_period_end text default 'false'
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status,
    current_period_end)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active', 1798761600);
