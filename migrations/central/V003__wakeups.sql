-- The wake-up ledger: when each clinic next has something to do. Lowering due_at is always safe, for anybody;
-- only a fenced write-back may raise it (docs/architecture.md, the ledger).

create table wakeups (
  clinic_id    uuid        primary key references clinics on delete cascade,
  due_at       timestamptz not null default 'infinity',  -- next reason to look
  hints        bigint      not null default 0,           -- one up at every hint, never down
  sweep_at     timestamptz not null default now(),       -- look anyway, about once an hour
  lease_token  uuid,                                     -- random, new at each lease: never repeats
  leased_until timestamptz not null default '-infinity',
  leased_by    uuid,
  failures     integer     not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
create index wakeups_next on wakeups (least(due_at, sweep_at));
