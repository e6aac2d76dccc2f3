-- A unique column with a constant default: the first new row passes, the second does not.
-- ends: either
-- way out: statements
-- tells: invoice_no
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  invoice_no text not null default '' unique,
  status text
);
