#!/usr/bin/env bash
# Run by the postgres image, once, on an empty volume: the provisioning role and the central database.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -v password="$PROVISIONING_PASSWORD" -U "$POSTGRES_USER" -d postgres \
    -f /nadi/provisioning_role.sql -f - <<'END'
alter role nadi password :'password';
create database nadi_central owner nadi template template0 encoding 'UTF8' locale 'C.UTF-8';
revoke connect, temporary on database nadi_central from public;
END
