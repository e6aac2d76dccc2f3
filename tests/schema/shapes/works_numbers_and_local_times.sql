-- A port of an older app: numbers as keys, times without a zone, a helper index under another name.
-- ends: works
-- buyer: user_old 7
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: current_period_end.*time zone
-- app service_role: select id, user_id, status from subscriptions where user_id = 7
create table users (id serial primary key, clerk_id varchar(64) unique, created_at timestamp);
create table subscriptions (
  id bigint generated always as identity primary key,
  user_id integer not null references users (id) on delete cascade,
  stripe_customer_id varchar(255),
  stripe_subscription_id varchar(255) not null unique,
  stripe_price_id varchar(255),
  status varchar(50) not null default 'active',
  current_period_start timestamp,
  current_period_end timestamp,
  cancel_at_period_end boolean not null default false,
  created_at timestamp not null default now(),
  updated_at timestamp not null default now(),
  deleted_at timestamp
);
create index idx_subs_user on subscriptions (user_id);
insert into users (id, clerk_id) values (7, 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, current_period_end)
  values (7, 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', '2027-01-01 08:00');
