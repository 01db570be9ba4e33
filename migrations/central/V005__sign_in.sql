-- One-time links, second factors and sign-in settings of the platform's own accounts: as a clinic's (V008).

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

create table sign_in_settings (
  only_row            boolean primary key default true check (only_row),
  second_factor_roles text[]  not null default '{}', -- who may do nothing here before having a second factor
  version             bigint  not null default 1
);
insert into sign_in_settings default values;
