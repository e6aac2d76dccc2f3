-- No rows yet: user_id is that of profiles, though a table users is there too, for something else.
-- ends: works
-- buyer: user_old 00000000-0000-0000-0000-00000000000a
create table users (id serial primary key, login text, clerk_id text unique);
create table profiles (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references profiles (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
insert into users values (3, 'root', 'user_old');
insert into profiles values ('00000000-0000-0000-0000-00000000000a', 'user_old');
