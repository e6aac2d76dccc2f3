-- A trigger leaves out rows without a user, without a word: nothing fails, and nothing is stored.
-- ends: either
-- way out: statements
-- tells: skip_strangers
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function skip_strangers() returns trigger language plpgsql as $$
begin
  return case when new.user_id is not null then new end;
end $$;
create trigger skip_strangers before insert on subscriptions
  for each row execute function skip_strangers();
