-- Feeds that a reader polls.
-- ends: refused
-- way out: schema
create type subscription_status as enum ('active', 'paused', 'error');
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  title text not null,
  feed_url text not null,
  status subscription_status not null default 'active',
  last_sync_at timestamptz,
  created_at timestamptz not null default timezone('utc', now()),
  updated_at timestamptz not null default timezone('utc', now())
);
