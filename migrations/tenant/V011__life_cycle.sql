-- The life of a visit: when each step was taken, and what was ever changed.

alter table appointments
  add column checked_in_at  timestamptz,
  add column started_at     timestamptz, -- with completed_at: how long this doctor's consultations take
  add column completed_at   timestamptz,
  add column late_cancelled boolean not null default false; -- cancelled so late that nobody else could have the time

-- What patients and staff are shown of a visit's past. The audit log is for inspectors: it is sealed, and no part of the product.
create table appointment_changes (
  id             bigint      generated always as identity primary key,
  appointment_id uuid        not null references appointments,
  at             timestamptz not null default clock_timestamp(),
  what           text        not null check (what in ('booked', 'described', 'moved', 'confirmed', 'checked_in', 'started',
                             'completed', 'cancelled', 'no_show', 'reopened')),
  before         jsonb       not null default '{}', -- only what this change made different
  after          jsonb       not null default '{}',
  reason         text,
  account_id     uuid        references users,      -- null: by a link, or by itself
  role           text
);
create index appointment_changes_of on appointment_changes (appointment_id, id);
revoke update, delete on appointment_changes from nadi_clinic;

update clinic_identity set schema_level = 11; -- only adds: older binaries may go on
