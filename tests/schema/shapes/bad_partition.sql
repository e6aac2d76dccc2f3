-- Our name for one partition of a bigger table.
-- ends: refused
-- tells: partition
create table agreements (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  user_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text,
  primary key (id, kind)
) partition by list (kind);
create table subscriptions partition of agreements for values in ('subscription');
