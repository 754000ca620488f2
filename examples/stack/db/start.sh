#!/bin/sh
# Makes the database on the first start, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --silent --wait --options="-c listen_addresses=''" start
    psql --quiet --set=password="$(cat /run/secrets/database_password)" --file=/usr/local/share/notes.sql postgres
    pg_ctl --silent --wait stop
fi
exec postgres -c listen_addresses='*'
