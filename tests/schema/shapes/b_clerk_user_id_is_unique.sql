-- One row a user, found by Clerk's id, in a column of the team's own that has to be there.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: clerk_user_id
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  clerk_user_id text not null unique,
  email text,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  plan text,
  status text not null,
  expires_at timestamptz
);
insert into subscriptions (clerk_user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('user_old', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active');
