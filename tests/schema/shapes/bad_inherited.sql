-- Old inheritance: a unique index reaches neither parent nor child.
-- ends: either
-- tells: inherit|archived_subscriptions
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text
);
create table archived_subscriptions () inherits (subscriptions);
insert into archived_subscriptions (stripe_subscription_id, status)
  values ('sub_OldPayer0000000000000001', 'canceled');
insert into subscriptions (stripe_subscription_id, status)
  values ('sub_OldPayer0000000000000001', 'active');
