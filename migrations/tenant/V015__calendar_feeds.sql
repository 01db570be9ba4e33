-- Calendar feeds: nobody's address is kept. It derives from the clinic's key, the account and how often the account has
-- asked for another one; without a row it never has.

create table calendar_feeds (
  account_id    uuid        primary key references users,
  generation    integer     not null default 0 check (generation >= 0), -- of the address: the only one that is good
  patient_names boolean     not null default false, -- a staff's feed names patients; else it has their numbers
  rotated_at    timestamptz not null default now()
);
revoke delete on calendar_feeds from nadi_clinic; -- a generation that began anew would bring old addresses back

-- What a therapist was ever asked for, also once it was cancelled: a feed shows that, too.
create index appointments_resources on appointments using gin (resource_ids) where resource_ids <> '{}';

update clinic_identity set schema_level = 15; -- only adds: older binaries may go on
