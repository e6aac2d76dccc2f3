-- The table names its user twice: by the app's id, and by Clerk's.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  clerk_user_id text,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
insert into subscriptions
    (user_id, clerk_user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'user_old', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
