-- The first purchase passes; a trigger refuses the second one of a user.
-- ends: either
-- tells: one_each
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function one_each() returns trigger language plpgsql as $$
begin
  if exists (select from subscriptions s where s.status = 'active' and
             (s.user_id = new.user_id or s.stripe_customer_id = new.stripe_customer_id)) then
    raise exception 'one active subscription each' using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger one_each before insert on subscriptions
  for each row execute function one_each();
