-- What booking goes by beside weekly hours: the clinic's rules, its holidays, extra days, rooms and the like; and times that are
-- held for somebody who has not said yes yet.

-- One row. As it comes, patients may book what staff may.
create table scheduling_rules (
  only_row              boolean     primary key default true check (only_row),
  lead_minutes          integer     not null default 0 check (lead_minutes between 0 and 43200),  -- patients book no later than this before
  horizon_days          integer     check (horizon_days between 1 and 730),                        -- and no further ahead; null: as far as they like
  max_per_day           integer     check (max_per_day between 1 and 500),                         -- visits of one doctor; null: as many as fit
  late_cancel_minutes   integer     not null default 1440 check (late_cancel_minutes between 0 and 43200),
  no_show_after_minutes integer     check (no_show_after_minutes between 5 and 1440),              -- after the start; null: by hand only
  hold_minutes          integer     not null default 60 check (hold_minutes between 5 and 2880),   -- how long a freed time is kept for whom it is offered to
  reminder_minutes      integer[]   not null default '{1440,120}' check (
                          cardinality(reminder_minutes) <= 5 and array_position(reminder_minutes, null) is null
                          and 10 <= all (reminder_minutes) and 43200 >= all (reminder_minutes)),   -- before the start
  travel_minutes        integer     not null default 0 check (travel_minutes between 0 and 240),   -- to a home visit, and back from it
  video_base_url        text        check (video_base_url ~ '^https://[^/?#@[:space:]]+(/[^?#[:space:]]*)?$'), -- null: video visits have no link
  video_opens_minutes   integer     not null default 15 check (video_opens_minutes between 0 and 1440),
  version               bigint      not null default 1,
  updated_at            timestamptz not null default now()
);
insert into scheduling_rules default values;

create table kind_rules (
  kind                  text    primary key check (kind in ('in_person', 'video', 'home_visit')),
  slot_minutes          integer check (slot_minutes between 5 and 240), -- null: the doctor's own
  buffer_before_minutes integer not null default 0 check (buffer_before_minutes between 0 and 120),
  buffer_after_minutes  integer not null default 0 check (buffer_after_minutes between 0 and 120)
);
insert into kind_rules (kind) values ('in_person'), ('video'), ('home_visit');
revoke insert, delete on scheduling_rules, kind_rules from nadi_clinic;

alter table doctors add column max_per_day integer check (max_per_day between 1 and 500); -- null: as the clinic's rules say

-- Civil days on which nobody sits, at one location or at all of them.
create table holidays (
  id          uuid        primary key,
  location_id uuid        references locations, -- null: every one
  first_day   date        not null,
  last_day    date        not null,             -- the last of them, inclusive
  name        text        not null check (name <> ''),
  version     bigint      not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  constraint holiday_has_length check (first_day <= last_day and last_day < first_day + 366)
);
create index holidays_days on holidays (last_day, first_day);

-- A day on which a doctor sits although the weekly hours do not say so: civil time at the location.
create table extra_hours (
  id          uuid        primary key,
  doctor_id   uuid        not null references doctors,
  location_id uuid        not null references locations,
  day         date        not null,
  starts_at   time        not null,
  ends_at     time        not null,
  breaks      jsonb       not null default '[]', -- as in availability
  created_at  timestamptz not null default now(),
  constraint extra_hours_have_length check (starts_at < ends_at),
  constraint extra_hours_no_overlap exclude using gist (
    doctor_id with =, day with =,
    int4range(extract(epoch from starts_at)::integer, extract(epoch from ends_at)::integer) with &&)
);

-- What a visit may take beside its doctor and its patient. A therapist's id is the account's, and so is the name.
create table resources (
  id          uuid        primary key,
  kind        text        not null check (kind in ('room', 'equipment', 'therapist')),
  name        text        check (name <> ''),
  location_id uuid        references locations, -- null: at every one
  user_id     uuid        references users,
  capacity    smallint    not null default 1 check (capacity between 1 and 50), -- visits at one time
  version     bigint      not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  deleted_at  timestamptz,
  constraint therapist_is_an_account check ((kind = 'therapist') = (user_id is not null) and coalesce(user_id, id) = id),
  constraint therapist_is_named_there check ((kind = 'therapist') = (name is null)),
  constraint room_is_somewhere check (kind <> 'room' or location_id is not null)
);
create unique index resources_name_key on resources (location_id, lower(name)) nulls not distinct
  where deleted_at is null and name is not null;
revoke delete on resources from nadi_clinic;

-- What was asked for, also once the visit has given its claims back.
alter table appointments add column resource_ids uuid[] not null default '{}' check (cardinality(resource_ids) <= 10);

-- A claim is a visit's, or it holds a time for somebody until an instant. A hold that lapsed is as good as gone: who books deletes
-- it under the locks, for the constraint cannot see the clock.
alter table claims drop constraint claims_pkey, alter column appointment_id drop not null,
  add column hold_id uuid, add column hold_until timestamptz,
  add constraint claims_key unique (appointment_id, subject_id),
  add constraint claims_hold_key unique (hold_id, subject_id),
  add constraint claim_is_a_visits_or_a_hold check (
    (appointment_id is null) = (hold_id is not null) and (hold_id is null) = (hold_until is null));

update clinic_identity set schema_level = 10; -- only adds: older binaries may go on
