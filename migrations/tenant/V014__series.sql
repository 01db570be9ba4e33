-- Visits that were booked as one: a course of treatment, or the same hour each week.

create table appointment_series (
  id         uuid        primary key,
  patient_id uuid        not null references patients,
  booked_by  uuid        references users,
  created_at timestamptz not null default now()
);
revoke update, delete on appointment_series from nadi_clinic;

alter table appointments add column series_id uuid references appointment_series;
create index appointments_series on appointments (series_id, lower(during)) where series_id is not null;

update clinic_identity set schema_level = 14; -- only adds: older binaries may go on
