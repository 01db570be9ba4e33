-- What changed a moment ago, for those who watch (`GET /live`): ids, and never what they stand for. Kept for a day.

create table live_events (
  -- Numbers are given when a row is written, not when it commits. Whoever reads behind the oldest transaction that still runs,
  -- in the order of (xid, id), misses nothing that commits late.
  xid            xid8        not null default pg_current_xact_id(),
  id             bigint      not null generated always as identity,
  at             timestamptz not null default now(),
  kind           text        not null check (kind ~ '^[a-z_]+[.][a-z_]+$'), -- `appointment.moved`; other slices add theirs
  appointment_id uuid,
  doctor_id      uuid,
  patient_id     uuid,
  location_id    uuid,
  subjects       uuid[]      not null default '{}', -- whom else it takes or took: a therapist sees what claims him
  details        jsonb       not null default '{}' check (octet_length(details::text) <= 500),
  primary key (xid, id)
);

-- The last row that was forgotten: whoever resumes from before it has missed something.
create table live_floor (
  only_row boolean primary key default true check (only_row),
  xid      xid8    not null,
  id       bigint  not null
);
insert into live_floor (xid, id) values ('0', 0);

-- A row's number and transaction are not the clinic's role's to choose, and what happened does not change.
revoke insert, update on live_events from nadi_clinic;
grant insert (kind, appointment_id, doctor_id, patient_id, location_id, subjects, details) on live_events to nadi_clinic;
revoke insert, delete on live_floor from nadi_clinic;

update clinic_identity set schema_level = 12; -- only adds: older binaries may go on
