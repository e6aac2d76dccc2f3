-- A trigger writes another word than Stripe's: what is stored is not what was said.
-- ends: either
-- way out: statements
-- tells: shout
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function shout() returns trigger language plpgsql as $$
begin
  new.status := upper(new.status);
  return new;
end $$;
create trigger shout before insert or update on subscriptions
  for each row execute function shout();
