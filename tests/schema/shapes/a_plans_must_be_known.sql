-- plan is a key into the team's table of plans, which has no null and none of STRIPE_PLANS' names
-- beside those it lists: whatever we do, the team has to hear of it.
-- ends: either
-- tells: subscriptions_plan_fkey|subscriptions\.plan
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table plans (name text primary key, seats integer);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  plan text not null default 'free' references plans (name),
  status text
);
insert into plans values ('free', 1), ('pro', 5);
