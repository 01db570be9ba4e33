-- The people a clinic cares for.

create sequence patient_numbers;
-- P-000042; wider once there are a million.
create function next_patient_number() returns text language sql volatile as $$
  select 'P-' || lpad(n, greatest(6, length(n)), '0') from (select nextval('patient_numbers')::text) as s (n)
$$;

create table patients (
  id            uuid        primary key,
  number        text        not null default next_patient_number() constraint patients_number_key unique,
  user_id       uuid        constraint patients_user_key unique references users, -- the account that signs in as this patient
  full_name     text        not null check (full_name <> ''),
  name_folded   text        not null generated always as (lower(full_name)) stored,
  phone         text        check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  email         text        check (email <> ''),
  date_of_birth date        check (date_of_birth >= '1880-01-01'),
  gender        text        check (gender in ('female', 'male', 'other', 'undisclosed')),
  language      text        check (language ~ '^[a-z]{2,3}$'),
  address       text        not null default '',
  notes         text        not null default '',
  version       bigint      not null default 1,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  deleted_at    timestamptz
);
-- Part of a name, or one with a slip in it, in any script; part of a phone number. Without a list of pending entries: patients
-- come one by one, and a search must not wait for a vacuum to be quick (with a long list it reads the whole table).
create index patients_name_search on patients using gin (name_folded gin_trgm_ops) with (fastupdate = off) where deleted_at is null;
create index patients_phone_search on patients using gin (phone gin_trgm_ops) with (fastupdate = off) where deleted_at is null;
create index patients_list on patients (id) where deleted_at is null;

update clinic_identity set schema_level = 4, min_binary_level = 4;
