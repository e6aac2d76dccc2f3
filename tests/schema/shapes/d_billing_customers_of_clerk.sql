-- Nearly ours: the same three facts, but one customer a user for both modes, and a mail address
-- that must be there.
-- ends: refused
-- way out: schema
-- payer: user_old cus_OldPayer000001
-- tells: billing_customers
create table billing_customers (
  clerk_owner_id text primary key,
  stripe_customer_id text unique not null,
  livemode boolean not null default true,
  email text not null,
  created_at timestamptz not null default now()
);
insert into billing_customers values ('user_old', 'cus_OldPayer000001', true, 'old@example.com');
