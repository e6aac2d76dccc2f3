-- Every write is noted down in a table of its own, and moddatetime-like triggers keep updated_at.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: keep_time
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default timezone('utc', now()),
  updated_at timestamptz not null default timezone('utc', now())
);
create table subscription_log (at timestamptz default now(), what text, row jsonb);
alter table subscription_log enable row level security;
create function note_down() returns trigger language plpgsql as $$
begin
  insert into subscription_log (what, row) values (tg_op, to_jsonb(new));
  return null;
end $$;
create trigger note_down after insert or update on subscriptions
  for each row execute function note_down();
create function keep_time() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end $$;
create trigger keep_time before update on subscriptions
  for each row execute function keep_time();
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
