-- Readers of a newsletter.
-- ends: refused
-- way out: schema
-- tells: not about billing|no billing|billing
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  email text unique not null,
  confirmed boolean not null default false,
  token text not null default gen_random_uuid()::text,
  created_at timestamptz not null default now()
);
insert into subscriptions (email) values ('ann@example.com'), ('bob@example.com');
