-- users.id is Clerk's id: there is no column clerk_id, nor any need of one.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: billing_user_id
create table users (id text primary key, email text);
create table subscriptions (
  id serial primary key,
  user_id text not null references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
insert into users values ('user_old', 'old@example.com');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active');
