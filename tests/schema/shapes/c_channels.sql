-- Who follows which channel.
-- ends: refused
-- way out: schema
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table channels (id uuid primary key default gen_random_uuid(), name text);
create table subscriptions (
  user_id uuid not null references users (id) on delete cascade,
  channel_id uuid not null references channels (id) on delete cascade,
  created_at timestamptz not null default now(),
  primary key (user_id, channel_id)
);
insert into users (clerk_id) values ('user_old');
insert into channels (name) values ('news');
insert into subscriptions (user_id, channel_id) select u.id, c.id from users u, channels c;
