-- Whose database this is. Every new connection reads this row: a database that belongs to another clinic is refused.
-- Each later migration raises schema_level, and min_binary_level when an older binary could no longer serve.

create extension if not exists btree_gist;
create extension if not exists pg_trgm;

create table clinic_identity (
  only_row         boolean primary key default true check (only_row),
  clinic_id        uuid,               -- null in a template, set once when the clinic is made
  schema_level     integer not null,
  min_binary_level integer not null
);
insert into clinic_identity (schema_level, min_binary_level) values (1, 1);

-- A clinic's login role owns nothing: its rights on rows come from this group. No DDL, no temporary tables.
grant usage on schema public to nadi_clinic;
alter default privileges in schema public grant select, insert, update, delete on tables to nadi_clinic;
alter default privileges in schema public grant usage, select on sequences to nadi_clinic;
grant select on clinic_identity to nadi_clinic;
