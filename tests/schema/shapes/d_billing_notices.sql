-- One more of our names, for a table of the team's: notices to its customers.
-- ends: either
-- app service_role: select note from billing_notices
create table billing_notices (id serial primary key, note text);
insert into billing_notices (note) values ('Your card expires soon.');
