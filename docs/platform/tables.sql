-- psql -v groups='kotikunta henkilon-nimi' -f tables.sql: a table for each state topic, and the role that fills them.
\set ON_ERROR_STOP on
create schema vtj;
select format('create table vtj.%I (person text primary key, state jsonb not null)', name)
from unnest(string_to_array(:'groups', ' ')) name \gexec
create role vtj_sink login;
grant usage on schema vtj to vtj_sink;
grant select, insert, update, delete on all tables in schema vtj to vtj_sink;
