#!/usr/bin/env bash
# The recorder tests once more on PostgreSQL and on MariaDB: throw-away servers out of Debian's packages, unpacked and
# not installed, and drivers beside the test environment. By hand; not part of run.sh (it takes some minutes).
#
#   tests/component/databases.sh [NAME...] [-- pytest arguments]     NAME: postgresql, mariadb
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dlms-mqtt-tests
WORK=$(mktemp -d "${TMPDIR:-/tmp}/databases.XXXXXX")
servers=()
end_servers() {
    local pid
    for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
    rm -rf "$WORK"
}
trap end_servers EXIT

names=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do names+=("$1"); shift; done
[ $# -gt 0 ] && shift
[ ${#names[@]} -gt 0 ] || names=(postgresql mariadb)
[ $# -gt 0 ] || set -- test_history.py test_recorded.py

say() { printf '== databases: %s\n' "$*"; }

as_nobody() { # neither server runs as root
    if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi
}

unpacked() { # PACKAGE -> a folder with it and what it needs of what is not installed
    local debs=$CACHE/debian-$1 deb
    if [ ! -e "$debs/done" ]; then
        mkdir -p "$debs/partial"
        apt-get -qq -y -o "Dir::Cache::archives=$debs" -o APT::Sandbox::User=root --no-install-recommends \
            --download-only install "$1" >"$debs/log" 2>&1 || { tail -3 "$debs/log" >&2; return 1; }
        touch "$debs/done"
    fi
    for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$WORK/$1"; done
    echo "$WORK/$1"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

wait_for() { # COMMAND: up to a minute
    for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
    say "the server did not start" >&2
    return 1
}

postgresql() { # -> url
    local bin port=$1 data=$WORK/postgresql
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
    [ -n "$bin" ] || bin=$(ls -d "$(unpacked postgresql)"/usr/lib/postgresql/*/bin | tail -1)
    as_nobody "$bin/initdb" -D "$data" -U house -A trust --no-sync >/dev/null
    as_nobody "$bin/postgres" -D "$data" -p "$port" -k "$data" -h 127.0.0.1 -F >"$WORK/postgresql.log" 2>&1 &
    servers+=($!)
    wait_for "$bin/pg_isready" -h 127.0.0.1 -p "$port"
    "$bin/postgres" --version
    url="postgresql://house@127.0.0.1:$port/house"
}

mariadb() {
    local root port=$1 data=$WORK/mariadb here
    root=$(unpacked mariadb-server)/usr
    export LD_LIBRARY_PATH=$root/lib/x86_64-linux-gnu
    here=(--no-defaults "--basedir=$root" "--datadir=$data" "--lc-messages-dir=$root/share/mysql")
    mkdir "$data" && chmod 777 "$data"
    as_nobody "$root/bin/mariadb-install-db" "${here[@]}" --auth-root-authentication-method=normal >"$WORK/install" 2>&1 ||
        { tail "$WORK/install" >&2; return 1; }
    as_nobody "$root/sbin/mariadbd" "${here[@]}" "--port=$port" --bind-address=127.0.0.1 "--socket=$data/s" \
        "--plugin-dir=$root/lib/mysql/plugin" --innodb-flush-log-at-trx-commit=0 >"$WORK/mariadb.log" 2>&1 &
    servers+=($!)
    wait_for "$root/bin/mariadb-admin" --no-defaults -h 127.0.0.1 -P "$port" -u root ping
    "$root/sbin/mariadbd" --version
    unset LD_LIBRARY_PATH
    url="mysql://root@localhost/house?charset=utf8mb4&unix_socket=$data/s" # the tests may open no other sockets
}

chmod 755 "$WORK" && [ "$(id -u)" != 0 ] || chmod 777 "$WORK"
python=$(HA_TIERS="3.14.2 3.13.2" HA_EXTRA=mypy "$HERE/ha-env.sh" test "$CACHE/ha-new" | tail -1)
drivers=$CACHE/database-drivers
"$CACHE/ha-new/tools/bin/uv" pip install -q --python "$python" --target "$drivers" --no-deps \
    psycopg2-binary pymysql sqlalchemy-utils
mkdir -p "$drivers/mariadb" # PyMySQL in the place of mysqlclient, which has no wheel
cat >"$drivers/mariadb/sitecustomize.py" <<'PY'
import socket
import sys
import types

import pymysql
import pymysql.connections
import pymysql.converters


class Local(socket.socket):
    connect = socket.socket.connect  # as it is now: the tests let nobody connect later


pymysql.connections.socket = types.SimpleNamespace(**vars(socket) | {"socket": Local})

sys.modules["MySQLdb.converters"] = pymysql.converters  # one table of conversions, not a second copy
pymysql.converters.DateTime2literal = pymysql.converters.escape_datetime
pymysql.install_as_MySQLdb()
PY

failed=0
for name in "${names[@]}"; do
    "$name" "$(free_port)"
    say "$name: $*"
    (cd "$HERE" && PYTHONPATH=$drivers:$drivers/$name "$python" -m pytest -c pytest.ini --rootdir . -n 0 --show-capture=no \
        "--dburl=$url" --drop-existing-db "$@") || failed=1
done
exit "$failed"
