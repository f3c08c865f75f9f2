#!/bin/sh
# What the public images of PostgreSQL and Redis do at their start, as far as the examples need it. PostgreSQL's makes the
# cluster, the user and the database that POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB name, once, and then becomes
# the server. Redis' answers other hosts without a password.
set -eu

case "$1" in
  postgres) ;;
  redis-server) exec "$@" --protected-mode no ;;
  *) exec "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?is needed}"
  user=${POSTGRES_USER:-postgres}
  secret=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
  initdb --username="$user" --pwfile="$secret" --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 >/dev/null
  rm "$secret"
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    pg_ctl --wait --options="-c listen_addresses=''" start >/dev/null
    createdb --username="$user" "${POSTGRES_DB:-$user}"
    pg_ctl --wait --mode=fast stop >/dev/null
  fi
fi

exec "$@" -c listen_addresses='*'
