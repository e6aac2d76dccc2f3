-- Our sequence's name, for one of the team's that goes round.
-- ends: either
-- tells: subscriptions_revision_seq
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create sequence subscriptions_revision_seq as integer maxvalue 5 cycle;
create table drafts (revision integer default nextval('subscriptions_revision_seq'));
