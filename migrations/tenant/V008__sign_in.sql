-- One-time codes, second factors, preferences.

-- ── one-time codes: how patients sign in ──

-- One for each asking; sent again it is the same. Known or unknown, whoever asks leaves the same rows here.
create table otp_requests (
  id                uuid        primary key,
  purpose           text        not null check (purpose in ('sign_in', 'register')),
  identifier_mac    bytea       not null, -- keyed hash of phone or e-mail: limits count by it, and it tells nobody's
  subject_mac       bytea       not null, -- the same with what is to be registered: another person is another request
  code_mac          bytea       not null,
  payload_cipher    bytea,                -- the code and for whom it is; wiped once spent or out of date
  sends             integer     not null default 1,
  tries             integer     not null default 0 check (tries <= 5),
  created_at        timestamptz not null default clock_timestamp(),
  resend_at         timestamptz not null,
  expires_at        timestamptz not null,
  used_at           timestamptz,
  -- A phone that a family shares: who may be chosen, once, after the right code.
  choice_sha256     bytea       constraint otp_requests_choice_key unique,
  choices           uuid[],
  choice_expires_at timestamptz,
  constraint otp_secret_wiped check (used_at is null or payload_cipher is null)
);
create index otp_requests_identifier on otp_requests (identifier_mac, purpose, created_at desc);
create index otp_requests_secret on otp_requests (expires_at) where payload_cipher is not null;
create index otp_requests_age on otp_requests (created_at);

-- What limits count: one row for each `202`.
create table otp_sends (
  id             bigint      generated always as identity primary key,
  request_id     uuid        not null references otp_requests on delete cascade,
  identifier_mac bytea       not null,
  prefix_mac     bytea,                   -- keyed hash of the number without its last four digits
  source         text,                    -- the network it came from (/32, /64), or a device that signed in before; null: exempt
  known          boolean,                 -- somebody here has this identifier; null until its message was looked at
  sent_at        timestamptz not null default clock_timestamp(),
  sms_at         timestamptz              -- when an SMS of it was handed over
);
create index otp_sends_identifier on otp_sends (identifier_mac, sent_at);
create index otp_sends_source on otp_sends (source, sent_at) where source is not null;
create index otp_sends_prefix on otp_sends (prefix_mac, sent_at) where prefix_mac is not null;
create index otp_sends_request on otp_sends (request_id);
create index otp_sends_sms on otp_sends (sms_at) where sms_at is not null;

-- Wrong guesses, also of requests that never were.
create table otp_guesses (
  id             bigint      generated always as identity primary key,
  identifier_mac bytea,
  guessed_at     timestamptz not null default clock_timestamp()
);
create index otp_guesses_identifier on otp_guesses (identifier_mac, guessed_at);
create index otp_guesses_age on otp_guesses (guessed_at);

-- SMS with codes, by the clinic's day.
create table otp_sms_days (
  day  date    primary key,
  sent integer not null
);

create table sign_in_settings (
  only_row         boolean primary key default true check (only_row),
  sms_daily_budget integer not null default 2000 check (sms_daily_budget >= 0),
  sms_countries    text[]  not null default '{}', -- ISO 3166; empty: the clinic's own country alone
  trusted_networks cidr[]  not null default '{}'  -- the clinic's own: not counted by address
);
insert into sign_in_settings default values;

create index patients_phone on patients (phone) where phone is not null and deleted_at is null;
create index patients_email on patients (lower(email)) where email is not null and deleted_at is null;

update clinic_identity set schema_level = 8; -- only adds: older binaries may go on
