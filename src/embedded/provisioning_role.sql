-- What every server of nadi starts with. One statement a line: PostgreSQL's single-user mode reads it so.
do $$ begin if (select count(*) from pg_available_extensions where name in ('btree_gist', 'pg_trgm')) < 2 then raise exception 'btree_gist or pg_trgm is missing: install the contrib package of PostgreSQL'; end if; end $$;
create role nadi login createdb createrole;
grant pg_read_all_stats to nadi;
revoke connect, temporary on database postgres, template1 from public;
grant connect on database postgres to nadi;
