-- Who does not pay has '' for an id, not null: that is no subscription that stands there twice, and
-- nobody's row may go for it.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  user_id uuid primary key references users (id) on delete cascade,
  stripe_customer_id text not null default '',
  stripe_subscription_id text not null default '',
  plan text not null default 'free',
  status text not null default ''
);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old'),
  ('00000000-0000-0000-0000-00000000000b', 'user_free'),
  ('00000000-0000-0000-0000-00000000000c', 'user_none');
insert into subscriptions (user_id) select id from users where clerk_id <> 'user_old';
insert into subscriptions values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
  'sub_OldPayer0000000000000001', 'pro', 'active');
