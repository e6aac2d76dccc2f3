-- Another of our tables' names.
-- ends: refused
-- way out: schema
-- tells: gone_customers
create table gone_customers (id serial primary key, email text, reason text);
insert into gone_customers (email) values ('left@example.com');
