-- Who pays stands inside a document, as Clerk's metadata are kept. It can't be taken over by a
-- rule, but somebody has to be told.
-- ends: works
-- tells: private_metadata
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text unique,
  private_metadata jsonb not null default '{}'
);
insert into users (clerk_id, private_metadata)
  values ('user_old', '{"stripeCustomerId": "cus_OldPayer000001"}');
