-- A trigger writes to a table of its own, with the rights of whoever inserts: the service role has
-- none there, which only a trial as the service role can tell.
-- ends: either
-- way out: statements
-- tells: count_it|counters
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create schema stats;
create table stats.counters (day date primary key, sold integer);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function count_it() returns trigger language plpgsql as $$
begin
  insert into stats.counters values (current_date, 1)
    on conflict (day) do update set sold = counters.sold + 1;
  return new;
end $$;
create trigger count_it before insert on subscriptions
  for each row execute function count_it();
