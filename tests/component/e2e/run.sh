#!/usr/bin/env bash
# The end-to-end tests: run.sh new|old [--history] [arguments of end_to_end.py or history.py]
#
# In the newest Home Assistant that there is, or in the oldest that is supported. The gate runs "new" alone; --history
# (upgrade, pushing and ciphered meter, 30 days of the past, three days of outage) takes a quarter of an hour.
# Exit 0: passed; 77: no Mosquitto here, or no Python that can carry it; else: failed.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dlms-mqtt-tests
case $1 in
new) home=$CACHE/ha-e2e tiers="3.14.2 3.13.2 3.13.0" ;;
old) home=$CACHE/ha-old-e2e tiers=3.13.0 ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
shift
script=end_to_end.py
[ "${1:-}" != --history ] || { script=history.py; shift; }
export PATH=$PATH:/usr/sbin
command -v mosquitto >/dev/null || { echo "== component: end to end skipped: no mosquitto" >&2; exit 77; }
PYTHON=$(HA_TIERS=$tiers "$HERE/../ha-env.sh" e2e "$home" | tail -1)

# The bridge and the simulated meter, with the package's own requirements and nothing of Home Assistant.
bridge=$home/bridge
stamp=$(cksum <"$ROOT/pyproject.toml")
if [ "$(cat "$bridge/stamp" 2>/dev/null)" != "$stamp" ]; then
    uv=$home/tools/bin/uv
    rm -rf "$bridge"
    "$uv" --no-progress venv -q --python "$PYTHON" "$bridge"
    "$uv" --no-progress pip install -q --python "$bridge/bin/python" -r "$ROOT/pyproject.toml"
    echo "$stamp" >"$bridge/stamp"
fi
exec "$PYTHON" "$HERE/$script" "$@" "$bridge/bin/python"
