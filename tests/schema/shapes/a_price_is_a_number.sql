-- price_id is the number of a row in prices, not Stripe's id.
-- ends: refused
-- tells: price_id.*integer|integer.*price_id
create table users (id serial primary key, clerk_id text unique);
create table prices (id serial primary key, stripe_price_id text unique not null);
create table subscriptions (
  id serial primary key,
  user_id integer references users (id) on delete cascade,
  stripe_customer_id varchar(255),
  stripe_subscription_id varchar(255) unique not null,
  price_id integer references prices (id),
  status varchar(50) not null
);
