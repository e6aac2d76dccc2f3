-- Each new user gets a free row at once, by a trigger on the table of users.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: on ?conflict
-- app service_role: insert into users (clerk_id) values ('user_new') returning clerk_id
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique not null);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade unique,
  stripe_customer_id text unique,
  stripe_subscription_id text unique,
  plan text not null default 'free' check (plan in ('free', 'pro', 'team')),
  status text not null default 'active'
);
create function start_for_free() returns trigger language plpgsql
  security definer set search_path = public as $$
begin
  insert into subscriptions (user_id) values (new.id);
  return new;
end $$;
create trigger start_for_free after insert on users for each row execute function start_for_free();
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
update subscriptions set plan = 'pro', stripe_customer_id = 'cus_OldPayer000001',
  stripe_subscription_id = 'sub_OldPayer0000000000000001';
