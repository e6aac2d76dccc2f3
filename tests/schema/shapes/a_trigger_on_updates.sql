-- The first word about a purchase passes; a trigger refuses the next one.
-- ends: either
-- way out: statements
-- tells: frozen
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function frozen() returns trigger language plpgsql as $$
begin
  raise exception 'a subscription is never changed, only added';
end $$;
create trigger frozen before update on subscriptions for each row execute function frozen();
