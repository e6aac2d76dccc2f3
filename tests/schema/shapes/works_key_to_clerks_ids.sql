-- No rows yet, but the foreign key says what user_id holds: Clerk's ids, though users has a key of
-- its own beside them.
-- ends: works
-- buyer: user_old user_old
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique not null);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id text references users (clerk_id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
insert into users (clerk_id) values ('user_old');
