-- Customers are known by their mail address alone. No rule takes that over, since an address is no
-- identity, but somebody has to be told.
-- ends: works
-- tells: customers.*stripe_customer_id
create table users (id uuid primary key default gen_random_uuid(), clerk_id text, email text);
create unique index on users (clerk_id);
create table customers (email text primary key, stripe_customer_id text);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_subscription_id text unique,
  status text
);
insert into users (clerk_id, email) values ('user_old', 'old@example.com');
insert into customers values ('old@example.com', 'cus_OldPayer000001');
