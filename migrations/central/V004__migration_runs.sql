-- What each run of `nadi migrate clinics` did to each clinic.

create table migration_runs (
  id            uuid        primary key,
  target_level  integer     not null,
  started_at    timestamptz not null default now(),
  finished_at   timestamptz,
  started_by    text        not null
);
create table migration_results (
  run_id      uuid        not null references migration_runs on delete cascade,
  clinic_id   uuid        not null references clinics on delete cascade,
  from_level  integer     not null,
  to_level    integer     not null,
  outcome     text        not null check (outcome in ('migrated', 'current', 'failed')),
  error       text,
  duration_ms integer     not null,
  finished_at timestamptz not null default now(),
  primary key (run_id, clinic_id)
);
