-- A composite type has our table's name.
-- ends: refused
-- tells: \bsubscriptions\b
create type subscriptions as (mail text, plan text);
