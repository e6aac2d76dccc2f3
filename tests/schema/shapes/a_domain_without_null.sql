-- A domain that is not null: a row type of the table can't even be made without a value.
-- ends: either
-- way out: statements
-- tells: \bnote\b
create domain short_text as text not null check (length(value) < 200);
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  note short_text default ''
);
