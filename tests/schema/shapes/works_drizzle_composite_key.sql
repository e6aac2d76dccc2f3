-- A Drizzle kit: the key is user and customer, and each of its columns is unique by itself too.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscriptions_user_id_stripe_customer_id_pk
-- tells: subscriptions_user_id_unique
create table users (id varchar(255) primary key, clerk_id varchar(255) unique);
create table subscriptions (
  user_id varchar(255),
  stripe_customer_id varchar(255),
  stripe_subscription_id varchar(255) constraint subscriptions_stripe_subscription_id_unique unique,
  stripe_price_id varchar(255),
  stripe_current_period_end timestamp,
  status varchar(20) default 'active',
  constraint subscriptions_user_id_stripe_customer_id_pk primary key (user_id, stripe_customer_id),
  constraint subscriptions_user_id_unique unique (user_id),
  constraint subscriptions_stripe_customer_id_unique unique (stripe_customer_id)
);
insert into users values ('u1', 'user_old');
insert into subscriptions values ('u1', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001',
  'price_OldPrice00000000000001', '2027-01-01', 'active');
