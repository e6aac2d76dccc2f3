-- An enum has our table's name: no relation, and yet no table of that name can be made.
-- ends: refused
-- way out: schema
-- tells: subscriptions.*type
create type subscriptions as enum ('free', 'pro');
