-- Who wants to hear when a product is there again.
-- ends: refused
-- way out: schema
create table subscriptions (
  id bigint primary key generated always as identity,
  email text,
  product_id text,
  notified_at timestamptz,
  created_at timestamptz default now()
);
insert into subscriptions (email, product_id) values ('ann@example.com', 'shoes-42');
