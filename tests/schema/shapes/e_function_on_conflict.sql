-- The team's own function writes with `on conflict (user_id)`, which needs the unique that goes.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscriptions_user_id_key
-- app service_role [grant_plan|on ?conflict]: select grant_plan('00000000-0000-0000-0000-00000000000a', 'team')
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null unique references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  plan text,
  status text
);
create function grant_plan(p_user uuid, p_plan text) returns void language plpgsql
  security definer set search_path = public as $$
begin
  insert into subscriptions (user_id, plan) values (p_user, p_plan)
    on conflict (user_id) do update set plan = excluded.plan;
end $$;
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'pro', 'active');
