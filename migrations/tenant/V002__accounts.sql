-- Who may sign in at this clinic, and what everybody did.

create table users (
  id            uuid        primary key,
  role          text        not null check (role in
                ('clinic_admin', 'doctor', 'receptionist', 'therapist', 'pharmacist', 'accountant', 'patient')),
  full_name     text        not null check (full_name <> ''),
  email         text        check (email <> ''),
  phone         text        check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  language      text        check (language ~ '^[a-z]{2,3}$'),
  password_hash text,       -- null: no password yet, or a patient, who signs in by one-time code
  status        text        not null default 'active' check (status in ('active', 'suspended', 'banned')),
  version       bigint      not null default 1,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  deleted_at    timestamptz,
  constraint staff_have_email check (role = 'patient' or email is not null)
);
-- Staff sign in by e-mail or phone; a family may share both, so the rule binds staff alone.
create unique index users_staff_email_key on users (lower(email)) where role <> 'patient' and deleted_at is null;
create unique index users_staff_phone_key on users (phone) where role <> 'patient' and deleted_at is null;

create table sessions (
  id           uuid        primary key,
  user_id      uuid        not null references users on delete cascade,
  created_at   timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at   timestamptz not null,
  device       text        not null default '',
  address      inet,
  generation   integer     not null default 0, -- of the refresh token: the only one that is good, but for 10 s of grace
  rotated_at   timestamptz not null default now(),
  ended_at     timestamptz,
  ended_reason text
);
create index sessions_user on sessions (user_id) where ended_at is null;

-- Links that let somebody set a password: kept as a hash, good once.
create table password_links (
  token_sha256 bytea       primary key,
  user_id      uuid        not null references users on delete cascade,
  expires_at   timestamptz not null,
  used_at      timestamptz
);

-- Failed sign-ins by (identifier, address), counted where every instance sees them.
create table login_failures (
  subject_sha256 bytea       not null,
  failed_at      timestamptz not null default clock_timestamp(),
  id             bigint      generated always as identity primary key
);
create index login_failures_subject on login_failures (subject_sha256, failed_at);

create table idempotency_keys (
  account_id  uuid        not null,
  method      text        not null,
  path        text        not null,
  key         text        not null,
  body_sha256 bytea       not null,
  status      smallint    not null,
  headers     jsonb       not null,
  body        bytea       not null,
  created_at  timestamptz not null default now(),
  primary key (account_id, method, path, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- One row for each change, in the change's own transaction. The clinic's role may only add and read.
create table audit_log (
  id         bigint      generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  request_id text,
  account_id uuid,       -- null: nobody was signed in, or the platform itself
  role       text,
  session_id uuid,
  address    inet,
  action     text        not null,
  entity     text        not null,
  entity_id  uuid,
  about_id   uuid,       -- the patient whom it concerns
  details    jsonb       not null default '{}'
);
create index audit_log_at on audit_log (at);
create index audit_log_about on audit_log (about_id, id) where about_id is not null;
revoke update, delete on audit_log from nadi_clinic;

update clinic_identity set schema_level = 2, min_binary_level = 2;
