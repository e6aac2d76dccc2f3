-- A trigger counts by user, so a row without one passes; once the user is filled in, the second
-- subscription of one user does not.
-- ends: either
-- way out: statements
-- payer: user_old cus_OldPayer000001 sub_OldPayer0000000000000001
-- tells: one_a_user
create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique);
create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references users (id) on delete cascade,
  stripe_customer_id text,
  stripe_subscription_id text unique,
  status text
);
create function one_a_user() returns trigger language plpgsql as $$
begin
  if exists (select from subscriptions s where s.user_id = new.user_id and s.id <> new.id
             and s.status = 'active') and new.status = 'active' then
    raise exception 'this user has an active subscription';
  end if;
  return new;
end $$;
create trigger one_a_user before insert or update on subscriptions
  for each row execute function one_a_user();
insert into users (id, clerk_id) values ('00000000-0000-0000-0000-00000000000a', 'user_old');
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, status)
  values ('00000000-0000-0000-0000-00000000000a', 'cus_OldPayer000001',
    'sub_OldPayer0000000000000001', 'active');
