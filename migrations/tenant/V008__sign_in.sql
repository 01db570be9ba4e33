-- One-time codes, second factors, preferences.

update clinic_identity set schema_level = 8, min_binary_level = 8;
