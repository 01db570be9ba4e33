-- The audit log as a chain: a row that was changed, removed, added or moved afterwards shows.

update clinic_identity set schema_level = 9; -- only adds: older binaries may go on
