-- The queue: whose turn it is with a doctor, at a location, on a civil day there. A token is given when the patient comes.

create table queue_tokens (
  doctor_id      uuid        not null references doctors,
  location_id    uuid        not null references locations,
  day            date        not null,
  number         integer     not null check (number > 0),      -- from 1, without gaps; never given twice
  appointment_id uuid        not null references appointments,
  walk_in        boolean     not null default false,
  priority       text        check (priority in ('none', 'elderly', 'pregnant', 'emergency')), -- null: by age
  state          text        not null default 'waiting' check (state in ('waiting', 'called', 'skipped')),
  called_at      timestamptz,                                  -- the last time
  calls          integer     not null default 0,
  nth_call       integer,                                      -- the last one's place among all calls of that day
  skips          integer     not null default 0,
  skipped_after  integer,                                      -- after so many calls of that day: it comes again a few later
  version        bigint      not null default 1,
  primary key (doctor_id, location_id, day, number),
  -- A visit that is reopened and comes again keeps its token; one that was moved meanwhile gets another where it is now.
  constraint queue_tokens_visit_key unique (appointment_id, doctor_id, location_id, day)
);
create index queue_tokens_day on queue_tokens (day, doctor_id);
revoke delete on queue_tokens from nadi_clinic; -- a number that is gone would be given again

alter table appointments add column queue_number integer; -- its token where it is now
create index appointments_consulted on appointments (doctor_id, completed_at) where completed_at is not null; -- how long they took

-- Boards that anybody may look at who has the address. The address is not kept: it derives from the clinic's key, the location
-- and this generation. Without a row there is none.
create table displays (
  location_id uuid        primary key references locations,
  generation  integer     not null default 1 check (generation > 0),
  is_open     boolean     not null default true,
  rotated_at  timestamptz not null default now()
);
revoke delete on displays from nadi_clinic; -- a generation that began anew would bring old addresses back

update clinic_identity set schema_level = 13; -- only adds: older binaries may go on
