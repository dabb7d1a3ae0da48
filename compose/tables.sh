# The tables of docs/platform.md, one for each group that has a schema, and the password of the role that fills them.
set -e
groups=$(cd /vtj/groups && echo *.avsc | sed 's/\.avsc//g')
psql --username postgres --dbname vtj --quiet --variable groups="$groups" --file /vtj/tables.sql
psql --username postgres --dbname vtj --quiet --command "alter role vtj_sink password 'sandbox'"
