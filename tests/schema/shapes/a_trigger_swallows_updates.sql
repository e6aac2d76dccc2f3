-- A trigger leaves out changes of anybody but its owner.
-- ends: either
-- way out: statements
-- tells: hands_off
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function hands_off() returns trigger language plpgsql as $$
begin
  return case when current_user = 'postgres' then new end;
end $$;
create trigger hands_off before update on subscriptions
  for each row execute function hands_off();
