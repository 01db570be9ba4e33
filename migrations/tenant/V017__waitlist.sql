-- Who waits for a time, which times were given back and are to be offered, and what is offered to whom.

create table waitlist (
  id               uuid        primary key,
  patient_id       uuid        not null references patients,
  doctor_id        uuid        references doctors,
  specialty        text        check (specialty <> ''),   -- any doctor whose profile names it, in whatever case
  location_id      uuid        references locations,      -- null: any
  kind             text        not null check (kind in ('in_person', 'video', 'home_visit')),
  duration_minutes integer     check (duration_minutes between 5 and 480), -- null: as long as such visits are
  weekdays         smallint[]  not null default '{}' check (weekdays <@ '{1,2,3,4,5,6,7}'), -- ISO: Monday is 1; none: any
  from_time        time,                                  -- civil time at the location; null: any
  to_time          time,                                  -- the visit is over by then
  first_day        date,
  last_day         date,                                  -- inclusive; null: until it is withdrawn
  reason           text        not null default '',
  address          text        not null default '' constraint waiting_home_visit_has_address check (kind <> 'home_visit' or address <> ''),
  status           text        not null default 'waiting' check (status in ('waiting', 'booked', 'withdrawn')),
  appointment_id   uuid        references appointments,   -- what came of it
  entered_by       uuid        references users,
  version          bigint      not null default 1,
  created_at       timestamptz not null default now(),    -- the place in the line
  updated_at       timestamptz not null default now(),
  constraint waits_for_a_doctor_or_a_specialty check ((doctor_id is null) <> (specialty is null)),
  constraint waiting_hours_have_length check (from_time < to_time),
  constraint waiting_days_have_length check (first_day <= last_day),
  constraint booked_has_its_visit check ((status = 'booked') = (appointment_id is not null))
);
create index waitlist_line on waitlist (created_at, id) where status = 'waiting';
create index waitlist_settled on waitlist (status, created_at, id) where status <> 'waiting';
create index waitlist_patient on waitlist (patient_id, created_at, id);
revoke delete on waitlist from nadi_clinic;

-- A time that was given back, until nobody is left whom it might be offered to.
create table freed_times (
  id        uuid        primary key,
  doctor_id uuid        not null references doctors,
  during    tstzrange   not null check (not isempty(during) and lower_inc(during) and not upper_inc(during)),
  freed_at  timestamptz not null default now()
);
revoke update on freed_times from nadi_clinic;

-- A time that is kept for one of them. It claims what a visit would, by a hold of the same id.
create table waitlist_offers (
  id          uuid        primary key,
  waitlist_id uuid        not null references waitlist,
  patient_id  uuid        not null references patients,
  doctor_id   uuid        not null references doctors,
  location_id uuid        not null references locations,
  during      tstzrange   not null check (not isempty(during) and lower_inc(during) and not upper_inc(during)),
  status      text        not null default 'open' check (status in ('open', 'accepted', 'declined', 'lapsed', 'withdrawn')),
  until       timestamptz not null,
  offered_at  timestamptz not null default now(),
  ended_at    timestamptz,
  constraint offer_is_open_or_has_ended check ((status = 'open') = (ended_at is null))
);
-- A patient has one at a time, and none twice: whoever let a time pass is not asked about it again.
create unique index waitlist_offers_open on waitlist_offers (patient_id) where status = 'open';
create unique index waitlist_offers_once on waitlist_offers (patient_id, doctor_id, lower(during));
create index waitlist_offers_waitlist on waitlist_offers (waitlist_id);
revoke delete on waitlist_offers from nadi_clinic;

update clinic_identity set schema_level = 17; -- only adds: older binaries may go on
