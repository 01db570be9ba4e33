-- How super-admins and clinic owners sign in, what they may repeat safely, and what they did.

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

create table audit_log (
  id         bigint      generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  request_id text,
  account_id uuid,
  role       text,
  session_id uuid,
  address    inet,
  action     text        not null,
  entity     text        not null,
  entity_id  uuid,
  about_id   uuid,       -- the clinic that it concerns
  details    jsonb       not null default '{}'
);
create index audit_log_at on audit_log (at);
create index audit_log_about on audit_log (about_id, id) where about_id is not null;
