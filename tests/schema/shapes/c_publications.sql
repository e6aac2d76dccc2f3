-- Readers of publications, some of them on a better tier.
-- ends: refused
-- way out: schema
create table publications (id uuid primary key default gen_random_uuid(), title text);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  reader_id text,
  publication_id uuid references publications (id) on delete cascade,
  tier text default 'free',
  muted boolean default false,
  created_at timestamptz default now()
);
create index on subscriptions (publication_id);
insert into publications (title) values ('Notes');
insert into subscriptions (reader_id, publication_id) select 'user_old', id from publications;
