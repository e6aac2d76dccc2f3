-- The same subscription in two rows, by a webhook that inserts.
-- ends: refused
-- tells: sub_OldPayer0000000000000001
create table subscriptions (
  id serial primary key,
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text
);
insert into subscriptions (stripe_customer_id, stripe_subscription_id, status) values
  ('cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'incomplete'),
  ('cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active');
