
-- The transaction that wrote a row: it is sealed once no transaction as old can still commit. Rows from before have 0 and go first.
-- (The default comes second, so that the table is not rewritten.)
alter table audit_log add column xid xid8 not null default '0';
alter table audit_log alter column xid set default pg_current_xact_id();
create index audit_log_unsealed on audit_log (xid, id);

-- What is asked of the log, newest first.
drop index audit_log_at, audit_log_about;
create index audit_log_at on audit_log (at, id);
create index audit_log_about on audit_log (about_id, at, id) where about_id is not null;
create index audit_log_account on audit_log (account_id, at, id) where account_id is not null;
create index audit_log_entity on audit_log (entity_id, at, id) where entity_id is not null;
create index audit_log_action on audit_log (action, at, id);

-- One link for each row, in the order of (xid, id), which no later commit can come before.
create table audit_seals (
  n         bigint      primary key, -- 1, 2, 3 …: two who seal at once cannot both have the next one
  log_id    bigint      not null,
  xid       xid8        not null,    -- the row's, as a mark of how far the chain has come; not in the hash
  sealed_at timestamptz not null,
  hash      bytea       not null check (octet_length(hash) = 32) -- HMAC of the row and of the link before, under a key that is not here
);

-- The newest link of every chain that we know of: a clinic whose log lost its end shows. No foreign key: it outlives the clinic.
create table audit_heads (
  realm_id uuid        primary key, -- the clinic; nil for the platform itself
  n        bigint      not null,
  hash     bytea       not null,
  seen_at  timestamptz not null default now()
);

-- The owner's own rights, so that no statement of ours changes the log by mistake. (An owner can grant them again: the chain is
-- what shows it.)
revoke update, delete, truncate on audit_log, audit_seals from current_user;

-- After a dump of this database is restored on another server, where transactions are numbered anew: what is sealed stays so,
-- the rest is sealed next, and new rows come after both.
create function audit_log_was_moved() returns void language sql as $$
  grant update on audit_log, audit_seals to current_user;
  update audit_log set xid = case when id in (select log_id from audit_seals) then '0'::xid8 else '2'::xid8 end;
  update audit_seals set xid = '1' where n = (select max(n) from audit_seals);
  revoke update on audit_log, audit_seals from current_user;
$$;
revoke execute on function audit_log_was_moved() from public;
