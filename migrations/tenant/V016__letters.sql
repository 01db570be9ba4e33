-- Letters that come back, and preferences that are consents.

-- Refusals that say nothing of the address for good: so many in a week, and it is left alone for a while.
create table returned_letters (
  address     text        not null,
  outbox_id   uuid        not null,
  returned_at timestamptz not null default now(),
  primary key (address, outbox_id)
);
create index returned_letters_age on returned_letters (returned_at);
revoke update on returned_letters from nadi_clinic;

-- What patients said in their preferences counts from now on as what they say at the desk. A later word stays the last one.
insert into consents (id, patient_id, kind, granted, source)
select gen_random_uuid(), p.id, said.kind, said.granted, 'preferences'
from preferences w
join patients p on p.user_id = w.user_id
cross join lateral (values
  ('service', w.wants_service, true), ('reminders', w.wants_reminders, true), ('marketing', w.wants_marketing, false)
) as said (kind, granted, usual)
where said.granted <> said.usual
  and not exists (select from consents c where c.patient_id = p.id and c.kind = said.kind and c.channel is null);

update clinic_identity set schema_level = 16; -- only adds: older binaries may go on
