-- How a clinic reaches people: its providers and policy, its templates, what providers report back, and who agreed to what.

alter table outbox
  add column channels        text[]  not null default '{}', -- asked for with the message; empty: as the clinic's policy says
  add column gave_up         text[]  not null default '{}', -- channels that will never take this message
  add column passed          text[]  not null default '{}', -- channels that did not take it in time: their turn comes again once no other is left
  add column accepted        text[]  not null default '{}', -- channels whose provider took it
  add column turn_since      timestamptz,                   -- since when the present channel has its turn
  add column attempts_before integer not null default 0,    -- of earlier generations: a message that a person asked to be tried again
  add column error_class     text;
-- Codes first: they never wait behind a campaign.
create index outbox_turn on outbox ((purpose not like 'code.%'), due_at) where done_at is null;
create index outbox_patient on outbox (patient_id, id) where patient_id is not null;
create index outbox_status on outbox (status, id);

alter table outbox_attempts
  add column http   integer,
  add column code   text,          -- the provider's own
  add column class  text,          -- of its failure
  add column status text           check (status in ('sent', 'delivered', 'read', 'failed')); -- by receipt; moves up only
-- Not unique: a provider that names two messages alike must not keep the second from being recorded, and so repeated.
create index outbox_attempts_provider_id on outbox_attempts (provider, provider_id) where provider_id is not null;

-- One row: credentials sealed under the clinic's key, policies where they differ from the product's.
create table messaging_settings (
  only_row         boolean primary key default true check (only_row),
  providers_cipher bytea,
  policies         jsonb       not null default '{}',
  -- What its provider asks for a segment of a text message: shown beside a template, and null where nobody said.
  segment_price    bigint      check (segment_price >= 0),
  segment_currency text        check (segment_currency ~ '^[A-Z]{3}$'),
  version          bigint      not null default 1,
  updated_at       timestamptz not null default now()
);
insert into messaging_settings default values;

-- A clinic's own words, where it has some; else the product's. A version never comes twice, also after a text was removed.
create sequence message_template_versions;
create table message_templates (
  name       text        not null,
  channel    text        not null check (channel in ('whatsapp', 'sms', 'email')),
  language   text        not null check (language ~ '^[a-z]{2,3}$'),
  subject    text        not null default '',
  body       text        not null,
  provider   jsonb       not null default '{}', -- as registered there: WhatsApp's name and parameters, DLT ids and text
  disabled   text,                              -- why its provider refuses it
  version    bigint      not null default nextval('message_template_versions'),
  updated_at timestamptz not null default now(),
  primary key (name, channel, language)
);

-- Append-only: who agreed to what, or took it back.
create table consents (
  id           uuid        primary key,
  patient_id   uuid        not null references patients,
  kind         text        not null check (kind in ('service', 'reminders', 'marketing')),
  channel      text        check (channel in ('whatsapp', 'sms', 'email')), -- null: all of them
  granted      boolean     not null,
  text_version text        not null default '',
  source       text        not null,
  at           timestamptz not null default clock_timestamp()
);
create index consents_patient on consents (patient_id, kind, at desc);
revoke update, delete on consents from nadi_clinic;

-- An address that a channel cannot reach: a number without WhatsApp, a mailbox that bounced.
create table unreachable_addresses (
  channel text        not null check (channel in ('whatsapp', 'sms', 'email')),
  address text        not null,
  reason  text        not null,
  until   timestamptz not null default 'infinity',
  primary key (channel, address)
);

-- What providers told us, once each, also before we knew what it was about.
create table inbound_events (
  provider    text        not null,
  event_key   text        not null,
  body_cipher bytea       not null,
  received_at timestamptz not null default now(),
  handled_at  timestamptz,
  handled_as  text,                 -- what came of it
  primary key (provider, event_key)
);
create index inbound_events_open on inbound_events (received_at) where handled_at is null;

update clinic_identity set schema_level = 7; -- only adds: older binaries may go on
