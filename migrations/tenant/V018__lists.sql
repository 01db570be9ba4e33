-- A list goes by time and id, and on from the last of a page. With the id in them these indexes give it in its order and nothing
-- else; without it, a small clinic's list of one doctor went through all visits of all doctors.
drop index appointments_doctor, appointments_patient, appointments_location;
create index appointments_doctor on appointments (doctor_id, lower(during), id);
create index appointments_patient on appointments (patient_id, lower(during), id);
create index appointments_location on appointments (location_id, lower(during), id);

update clinic_identity set schema_level = 18; -- indexes alone: older binaries may go on
