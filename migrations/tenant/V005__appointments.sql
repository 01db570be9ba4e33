-- Appointments, and the claims that keep anything from being taken twice.

create sequence appointment_numbers;
create function next_appointment_number() returns text language sql volatile as $$
  select 'A-' || lpad(n, greatest(6, length(n)), '0') from (select nextval('appointment_numbers')::text) as s (n)
$$;

create table appointments (
  id              uuid        primary key,
  number          text        not null default next_appointment_number() constraint appointments_number_key unique,
  patient_id      uuid        not null references patients,
  doctor_id       uuid        not null references doctors,
  location_id     uuid        not null references locations,
  kind            text        not null check (kind in ('in_person', 'video', 'home_visit')),
  status          text        not null default 'booked' check (status in
                  ('booked', 'confirmed', 'checked_in', 'in_consultation', 'completed', 'cancelled', 'no_show')),
  during          tstzrange   not null check (not isempty(during) and lower_inc(during) and not upper_inc(during)),
  reason          text        not null default '',
  address         text        not null default '' constraint home_visit_has_address check (kind <> 'home_visit' or address <> ''),
  overbook_reason text        check (overbook_reason <> ''), -- set: staff doubled this time on purpose
  cancel_reason   text,
  booked_by       uuid        references users,
  version         bigint      not null default 1,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now()
);
create index appointments_doctor on appointments (doctor_id, lower(during));
create index appointments_patient on appointments (patient_id, lower(during));
create index appointments_location on appointments (location_id, lower(during));
create index appointments_time on appointments (lower(during), id);

-- Who and what a visit takes: its doctor and its patient. A cancelled or missed visit has no claims, and so gives its time back.
create table claims (
  appointment_id uuid        not null references appointments,
  subject_id     uuid        not null,
  seat           smallint    not null default 0, -- at or above the subject's capacity: overbooked on purpose
  during         tstzrange   not null check (not isempty(during)),
  primary key (appointment_id, subject_id),
  constraint claims_free exclude using gist (subject_id with =, seat with =, during with &&)
);

update clinic_identity set schema_level = 5, min_binary_level = 5;
