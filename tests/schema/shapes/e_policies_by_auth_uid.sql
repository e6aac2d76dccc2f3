-- Supabase Auth's policies: under Clerk's token they raise 22P02, on one's own row too.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- reader: printed
-- tells: own subscription
-- tells: auth\.uid
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create index on subscriptions (user_id);
alter table subscriptions enable row level security;
create policy "own subscription" on subscriptions for select to authenticated
  using ((select auth.uid()) = user_id);
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
