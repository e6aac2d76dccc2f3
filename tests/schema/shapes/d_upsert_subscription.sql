-- Our function's name, with arguments of the team's.
-- ends: refused
-- way out: schema
-- tells: upsert_subscription
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  user_id uuid primary key references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function upsert_subscription(p_user uuid, p_customer text, p_subscription text,
  p_status text) returns void language sql set search_path = public as $$
  insert into subscriptions values (p_user, p_customer, p_subscription, p_status)
  on conflict (user_id) do update set status = excluded.status;
$$;
