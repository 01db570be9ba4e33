-- Branches, the doctors who work there, their weekly hours and their time off.

create table locations (
  id         uuid        primary key,
  name       text        not null check (name <> ''),
  address    text        not null default '',
  phone      text        check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  time_zone  text        not null,
  version    bigint      not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index locations_name_key on locations (lower(name)) where deleted_at is null;

-- What makes a member of staff a doctor. The id is the account's: one person, one id.
create table doctors (
  id                  uuid        primary key references users,
  registration_number text        not null default '',
  qualification       text        not null default '',
  specialties         text[]      not null default '{}',
  languages           text[]      not null default '{}',
  fee_minor           bigint      check (fee_minor >= 0),
  fee_currency        text        check (fee_currency ~ '^[A-Z]{3}$'),
  slot_minutes        integer     not null default 15 check (slot_minutes between 5 and 240),
  capacity            smallint    not null default 1 check (capacity between 1 and 50), -- patients at one time
  version             bigint      not null default 1,
  created_at          timestamptz not null default now(),
  updated_at          timestamptz not null default now(),
  deleted_at          timestamptz,
  constraint fee_has_currency check ((fee_minor is null) = (fee_currency is null))
);

-- Weekly hours: civil time at the location. Availability is computed from them, never stored.
create table availability (
  id          uuid     primary key,
  doctor_id   uuid     not null references doctors,
  location_id uuid     not null references locations,
  weekday     smallint not null check (weekday between 1 and 7), -- ISO: Monday is 1
  starts_at   time     not null,
  ends_at     time     not null,
  breaks      jsonb    not null default '[]', -- [{"starts_at": "13:00", "ends_at": "14:00"}], inside the hours
  valid_from  date,     -- null: always was
  valid_to    date,     -- exclusive; null: until further notice
  constraint hours_have_length check (starts_at < ends_at),
  constraint validity_has_length check (valid_from < valid_to),
  -- Nobody sits in two branches at once.
  constraint availability_no_overlap exclude using gist (
    doctor_id with =, weekday with =,
    int4range(extract(epoch from starts_at)::integer, extract(epoch from ends_at)::integer) with &&,
    daterange(valid_from, valid_to) with &&)
);

create table time_off (
  id         uuid        primary key,
  doctor_id  uuid        not null references doctors,
  during     tstzrange   not null check (not isempty(during) and not lower_inf(during) and not upper_inf(during)),
  reason     text        not null default '',
  created_at timestamptz not null default now()
);
create index time_off_doctor on time_off using gist (doctor_id, during);

update clinic_identity set schema_level = 3, min_binary_level = 3;
