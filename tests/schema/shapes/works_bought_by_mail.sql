-- Payment links: a row knows an address and a customer, no user.
-- ends: works
create table subscriptions (
  id bigserial primary key,
  customer_email text,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  created timestamptz default now()
);
insert into subscriptions (customer_email, stripe_customer_id, stripe_subscription_id, status)
  values ('old@example.com', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active');
