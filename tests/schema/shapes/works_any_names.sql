-- Columns of the team's own with names that a program might use for itself; one was dropped.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text unique,
  name text,
  told text
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  items text,
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  one text default 'x', word text, item text, way text, told text, said text, state text,
  rule text, moved timestamptz, owner text, names text, context text, kind text, n integer,
  notice text, statement text, "order" text, "user" text default current_user, c text, s text,
  "with ""quotes"" and 'more'; --" text
);
alter table subscriptions drop column items;
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
