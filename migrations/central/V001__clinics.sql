-- The registry: which clinics there are, on which PostgreSQL server each one's database lives, and under what key.

create table servers (
  id                uuid        primary key,
  name              text        not null constraint servers_name_key unique check (name ~ '^[a-z][a-z0-9-]{0,39}$'),
  admin_url_cipher  bytea,      -- how to reach it as the provisioning role; null: the server that this database lives on
  connection_budget integer     check (connection_budget between 3 and 10000), -- for each process; null: NADI_CONNECTION_BUDGET
  created_at        timestamptz not null default now()
);
create unique index servers_home on servers ((admin_url_cipher is null)) where admin_url_cipher is null;
insert into servers (id, name) values ('01900000-0000-7000-8000-000000000001', 'home');

-- Super-admins and clinic owners. Same shape as a clinic's own users, so that one code signs both in.
create table users (
  id            uuid        primary key,
  role          text        not null check (role in ('super_admin', 'clinic_owner')),
  full_name     text        not null check (full_name <> ''),
  email         text        not null check (email <> ''),
  phone         text        check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  language      text        check (language ~ '^[a-z]{2,3}$'),
  password_hash text,       -- null: no password yet
  status        text        not null default 'active' check (status in ('active', 'suspended', 'banned')),
  version       bigint      not null default 1,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  deleted_at    timestamptz
);
create unique index users_staff_email_key on users (lower(email)) where deleted_at is null;
create unique index users_staff_phone_key on users (phone) where deleted_at is null;

create table clinics (
  id               uuid        primary key,
  slug             text        not null constraint clinics_slug_key unique
                   check (slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$' and slug !~ '--'),
  name             text        not null check (name <> ''),
  time_zone        text        not null,
  language         text        not null default 'en',
  country          text        not null default 'IN' check (country ~ '^[A-Z]{2}$'),
  state            text,
  status           text        not null check (status in ('provisioning', 'active', 'suspended', 'archived', 'deleting')),
  server_id        uuid        not null references servers,
  root_key_wrapped bytea       not null, -- everything secret of this clinic derives from it; wrapped by NADI_MASTER_KEY
  schema_level     integer     not null default 0, -- as last seen by provisioning or a migration; the clinic's own row is the truth
  owner_id         uuid        references users,
  -- Somebody is at work on this row: provisioning it, or undoing that. When the lease lapses, any instance may take over.
  lease_token      uuid,
  leased_until     timestamptz,
  last_error       text,
  version          bigint      not null default 1,
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  constraint clinics_work_is_leased check (status not in ('provisioning', 'deleting') or leased_until is not null)
);
create index clinics_owner on clinics (owner_id);
create index clinics_leases on clinics (leased_until) where leased_until is not null;

-- Instances sign in here every 10 s: who falls silent may have died owing a hint (docs/architecture.md, the ledger).
create table instances (
  id         uuid        primary key,
  started_at timestamptz not null default now(),
  seen_at    timestamptz not null default now()
);
