-- The audit log as a chain: a row that was changed, removed, added or moved afterwards shows.

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

-- The clinic's role may add and read. A row's number and transaction are not its to choose.
revoke insert, update, delete on audit_log from nadi_clinic;
grant insert (at, request_id, account_id, role, session_id, address, action, entity, entity_id, about_id, details)
  on audit_log to nadi_clinic;
revoke update, delete on audit_seals from nadi_clinic;

-- After a dump of this database is restored on another server, where transactions are numbered anew: what is sealed stays so,
-- the rest is sealed next, and new rows come after both.
create function audit_log_was_moved() returns void language sql as $$
  update audit_log set xid = case when id in (select log_id from audit_seals) then '0'::xid8 else '2'::xid8 end;
  update audit_seals set xid = '1' where n = (select max(n) from audit_seals);
$$;
revoke execute on function audit_log_was_moved() from public;

update clinic_identity set schema_level = 9; -- only adds: older binaries may go on
