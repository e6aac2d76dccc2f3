-- An enum from before Stripe had `paused`; a check on the plan; both are the team's to widen.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscription_status.*paused
-- tells: known_plans
create type subscription_status as enum ('trialing', 'active', 'canceled', 'incomplete',
  'incomplete_expired', 'past_due', 'unpaid');
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id),
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status subscription_status not null default 'trialing',
  plan text not null default 'free' constraint known_plans check (plan in ('free', 'pro'))
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status, plan)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active', 'pro');
