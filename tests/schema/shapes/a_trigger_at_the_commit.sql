-- A constraint trigger that waits for the end of the transaction before it refuses.
-- ends: either
-- way out: statements
-- tells: has_an_invoice
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table invoices (stripe_subscription_id text, paid boolean);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function has_an_invoice() returns trigger language plpgsql as $$
begin
  if not exists (select from invoices i
                 where i.stripe_subscription_id = new.stripe_subscription_id) then
    raise exception 'no invoice yet';
  end if;
  return null;
end $$;
create constraint trigger has_an_invoice after insert on subscriptions
  deferrable initially deferred for each row execute function has_an_invoice();
