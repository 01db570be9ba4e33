-- Messages commit with the change that causes them. A row is an intent: who it concerns and why; how it reaches them is decided when it is sent.

create table outbox (
  id             uuid        primary key,
  purpose        text        not null,
  dedupe_key     text        not null constraint outbox_dedupe_key unique, -- e.g. appointment.booked:<appointment>:<starts_at>
  subject_id     uuid        not null,          -- what it is about: withdrawn with it
  patient_id     uuid        references patients,
  user_id        uuid        references users,  -- for staff: whom it is for
  payload_cipher bytea,                         -- what may not be read from the tables (a link's token); wiped once done
  due_at         timestamptz not null,
  expires_at     timestamptz not null,
  status         text        not null default 'queued' check (status in
                 ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'expired', 'suppressed')),
  channel        text,                          -- by which it went, or was last tried
  attempts       integer     not null default 0,
  lease_token    bigint      not null default 0,
  leased_until   timestamptz,
  last_error     text,
  done_at        timestamptz,
  created_at     timestamptz not null default now(),
  constraint outbox_lives check (expires_at > due_at),
  constraint outbox_secret_wiped check (done_at is null or payload_cipher is null)
);
create index outbox_due on outbox (due_at) where done_at is null and leased_until is null;
create index outbox_leased on outbox (leased_until) where done_at is null and leased_until is not null;
create index outbox_subject on outbox (subject_id) where done_at is null;

-- Written before the call and closed after it: one left open is a send whose outcome nobody knows.
create table outbox_attempts (
  outbox_id   uuid        not null references outbox on delete cascade,
  n           integer     not null,
  channel     text        not null,
  provider    text        not null,
  provider_id text,
  started_at  timestamptz not null default clock_timestamp(),
  ended_at    timestamptz,
  outcome     text        check (outcome in ('accepted', 'retry', 'refused')),
  error       text,
  primary key (outbox_id, n)
);

update clinic_identity set schema_level = 6, min_binary_level = 6;
