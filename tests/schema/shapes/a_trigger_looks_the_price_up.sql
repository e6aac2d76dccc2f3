-- A trigger fills the plan's name from the team's prices, and refuses what it does not find.
-- ends: either
-- way out: statements
-- tells: name_the_plan
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table prices (id text primary key, plan_name text not null);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  price_id text,
  plan_name text,
  status text
);
create function name_the_plan() returns trigger language plpgsql
  security definer set search_path = public as $$
begin
  select p.plan_name into strict new.plan_name from prices p where p.id = new.price_id;
  return new;
end $$;
create trigger name_the_plan before insert or update of price_id on subscriptions
  for each row execute function name_the_plan();
