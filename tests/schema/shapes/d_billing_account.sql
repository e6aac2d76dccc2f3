-- Another of our functions' names, with our types and another result.
-- ends: refused
-- way out: schema
-- tells: billing_account
create function billing_account(clerk_owner_id text, livemode boolean) returns text language sql
  as 'select clerk_owner_id';
