-- A schema of the team's own has the name of our private one.
-- ends: either
-- app service_role: select count(*) from users
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create schema billing_private;
create table billing_private.notices (id serial primary key, sent_to text, body text not null);
insert into billing_private.notices (sent_to, body) values ('ann@example.com', 'Pay, please.');
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
