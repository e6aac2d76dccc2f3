-- Realtime finds rows by the unique that has to go.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: subscriptions_user_id_key
-- app service_role: update subscriptions set status = 'past_due' where user_id = '00000000-0000-0000-0000-00000000000a' returning status
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  user_id uuid not null unique references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text
);
alter table subscriptions replica identity using index subscriptions_user_id_key;
create publication supabase_realtime for table subscriptions;
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
  'sub_OldPayer0000000000000001', 'active');
