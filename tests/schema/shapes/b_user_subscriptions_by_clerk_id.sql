-- The same, keyed by Clerk's id itself, in an app without a table of users.
-- ends: works
-- payer: user_old cus_OldPayer000001
-- tells: user_subscriptions
create table user_subscriptions (
  id serial primary key,
  "userId" text not null unique,
  stripe_customer_id text unique,
  stripe_subscription_id text unique,
  stripe_price_id text,
  stripe_current_period_end timestamp
);
insert into user_subscriptions ("userId", stripe_customer_id, stripe_subscription_id)
  values ('user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001');
