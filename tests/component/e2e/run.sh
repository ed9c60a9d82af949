#!/usr/bin/env bash
# The end-to-end test: run.sh PYTHON_WITH_HOME_ASSISTANT [arguments of end_to_end.py]
# Exit 0: passed; 77: no Mosquitto here; else: failed.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)
PYTHON=$1
shift
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dlms-mqtt-tests
export PATH=$PATH:/usr/sbin
command -v mosquitto >/dev/null || { echo "== component: end to end skipped: no mosquitto" >&2; exit 77; }

# The bridge and the simulated meter, with the package's own requirements and nothing of Home Assistant.
bridge=$CACHE/ha-e2e/bridge
stamp=$(cat "$ROOT/pyproject.toml" | cksum)
if [ "$(cat "$bridge/stamp" 2>/dev/null)" != "$stamp" ]; then
    uv=$CACHE/ha-e2e/tools/bin/uv
    rm -rf "$bridge"
    "$uv" --no-progress venv -q --python "$(dirname "$PYTHON")/python" "$bridge"
    "$uv" --no-progress pip install -q --python "$bridge/bin/python" -r "$ROOT/pyproject.toml"
    echo "$stamp" >"$bridge/stamp"
fi
exec "$PYTHON" "$HERE/end_to_end.py" "$@" "$bridge/bin/python"
