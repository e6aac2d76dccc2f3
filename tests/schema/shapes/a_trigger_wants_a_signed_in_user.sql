-- Inserts are for signed-in users only, says a trigger: the service role has no auth.uid().
-- ends: either
-- way out: statements
-- tells: only_signed_in
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function only_signed_in() returns trigger language plpgsql as $$
begin
  if auth.uid() is null then
    raise exception 'sign in first';
  end if;
  return new;
end $$;
create trigger only_signed_in before insert on subscriptions
  for each row execute function only_signed_in();
