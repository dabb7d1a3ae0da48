# As the public image begins: a server that no network reaches runs the scripts, and then one that it does.
set -eu
if [ "$(id -u)" = 0 ]; then
  chown postgres "$PGDATA"
  exec runuser -u postgres -- env PATH="$PATH" bash "$0"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username postgres --pwfile <(echo "$POSTGRES_PASSWORD") --auth-host scram-sha-256 --auth-local trust >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl --wait --options "-c listen_addresses=''" start
  createdb --username postgres "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sh; do . "$script"; done
  pg_ctl --wait stop
fi
exec postgres -c listen_addresses='*'
