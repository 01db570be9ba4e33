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

-- ── accounts ──

-- When the address that stands here was proved; another address is proved anew.
alter table users add column email_verified_at timestamptz;

-- A link is good for what it was made for. One that went to an address is dead once the account has another.
alter table password_links add column purpose text not null default 'set_password'
  constraint password_links_purpose check (purpose in ('set_password', 'reset_password', 'verify_email'));
alter table password_links add column email text;
-- Whoever asks for another password leaves the same rows, known here or not: a link of nobody's opens nothing.
alter table password_links alter column user_id drop not null;
create index password_links_user on password_links (user_id) where used_at is null;

-- Second factors (RFC 6238).
create table second_factors (
  user_id       uuid        primary key references users on delete cascade,
  secret_cipher bytea       not null,
  confirmed_at  timestamptz,                    -- null: the app has not shown yet that it has the secret
  last_step     bigint      not null default 0, -- each code is good once: none of this step or before counts any more
  created_at    timestamptz not null default now()
);

-- For those who lost the device: argon2id, each good once. A code names its own number, so that a guess costs one hash.
create table recovery_codes (
  user_id   uuid        not null references users on delete cascade,
  n         smallint    not null check (n between 0 and 9),
  code_hash text        not null,
  used_at   timestamptz,
  primary key (user_id, n)
);

alter table sign_in_settings add column second_factor_roles text[] not null default '{}'; -- who may do nothing here before having one
alter table sign_in_settings add column version bigint not null default 1;

-- How somebody wants to be reached. Who has no row has the defaults; languages stand with the people.
create table preferences (
  user_id         uuid    primary key references users on delete cascade,
  time_zone       text,                            -- null: the clinic's
  channel_order   text[]  not null default '{}' check (channel_order <@ array['whatsapp', 'sms', 'email']),
  wants_service   boolean not null default true,   -- what answers something just done: booked, moved, a receipt
  wants_reminders boolean not null default true,
  wants_marketing boolean not null default false   -- asked for, never assumed
);

create table avatars (
  user_id      uuid    primary key references users on delete cascade,
  content_type text    not null check (content_type in ('image/png', 'image/jpeg', 'image/webp')),
  bytes        bytea   not null check (octet_length(bytes) between 1 and 524288)
);
alter table avatars alter column bytes set storage external; -- such images are compressed already

update clinic_identity set schema_level = 8; -- only adds: older binaries may go on
