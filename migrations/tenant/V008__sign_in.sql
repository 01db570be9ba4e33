-- One-time codes, second factors, preferences.

update clinic_identity set schema_level = 8; -- only adds: older binaries may go on
