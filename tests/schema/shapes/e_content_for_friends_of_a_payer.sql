-- Documents are open to everybody whose owner pays: their policy reads another one's row, which
-- row level security of ours would hide.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: authenticated
-- app authenticated [authenticated]: select title from documents
create table users (id text primary key, clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id text references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create table documents (id serial primary key, owner text, title text);
alter table documents enable row level security;
create policy "owner pays" on documents for select to authenticated using (exists (
  select from subscriptions s where s.user_id = owner and s.status = 'active'));
insert into users values ('a', 'user_old'), ('b', 'user_boss');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status) values
  ('a', 'cus_OldPayer000001', 'sub_OldPayer0000000000000001', 'active'),
  ('b', 'cus_Boss0000000001', 'sub_Boss000000000000000000001', 'active');
insert into documents (owner, title) values ('b', 'Plans');
