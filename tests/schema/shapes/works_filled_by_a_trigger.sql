-- Not null and without a default, and yet no hurdle: a trigger fills it.
-- ends: works
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create sequence invoice_numbers;
grant usage on sequence invoice_numbers to service_role;
create table subscriptions (
  id text primary key,
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  reference text not null,
  status text
);
create function fill_in() returns trigger language plpgsql as $$
begin
  new.id := coalesce(new.id, 'S-' || gen_random_uuid());
  new.reference := coalesce(new.reference, 'R-' || nextval('invoice_numbers'));
  return new;
end $$;
create trigger fill_in before insert on subscriptions
  for each row execute function fill_in();
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
