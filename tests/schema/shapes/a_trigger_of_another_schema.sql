-- The function of a trigger stands in a schema of its own, with a name in quotes, and the trigger
-- fires once for a statement.
-- ends: either
-- way out: statements
-- tells: Office hours
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create schema app;
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function app."Sell by day"() returns trigger language plpgsql as $$
begin
  raise exception 'we sell by day' using errcode = 'insufficient_privilege';
end $$;
create trigger "Office hours" before insert on subscriptions
  for each statement execute function app."Sell by day"();
