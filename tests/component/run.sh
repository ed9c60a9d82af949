#!/usr/bin/env bash
# The component's tests in real Home Assistants: the newest that there is, the oldest that is supported, and the
# end-to-end test. Environments are made once under the user's cache folder; nothing on the system is changed.
#
# Exit 0: passed; 77: no Python here can carry any Home Assistant (the reason is printed); else: failed.
# Arguments go to pytest; with arguments the end-to-end test is left out.
set -uo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dlms-mqtt-tests
failed=0 ran=0

say() { printf '== component: %s\n' "$*"; }

environment() { # NAME TIERS MODE EXTRA -> python, or empty when skipped
    local python status
    python=$(HA_TIERS=$2 HA_EXTRA=$4 "$HERE/ha-env.sh" "$3" "$CACHE/ha-$1" | tail -1)
    status=${PIPESTATUS[0]}
    case $status in
    0) echo "$python" ;;
    77) say "skipped on $1: no Python of $2 here, and Debian's packages have none" >&2 ;;
    *)
        say "no environment for $1 (status $status)" >&2
        return 1
        ;;
    esac
}

unit() { # NAME TIERS EXTRA, then pytest's arguments
    local python
    python=$(set -o pipefail; environment "$1" "$2" test "$3") || { failed=1; return; }
    [ -n "$python" ] || return 0
    shift 3
    ran=1
    say "Home Assistant $("$python" -c 'import homeassistant.const as c; print(c.__version__)')"
    (cd "$HERE" && "$python" -m pytest -c pytest.ini --rootdir . -n 2 --show-capture=no --cov=custom_components.dlms_mqtt \
        --cov-branch --cov-fail-under="${COVERAGE:-100}" --cov-report=term-missing:skip-covered "$@") || failed=1
    if "$python" -c 'import mypy, probatio' 2>/dev/null; then
        (cd "$ROOT" && "$python" -m mypy --config-file "$HERE/mypy.ini" --cache-dir "$CACHE/mypy-component") || failed=1
    fi
}

COVERAGE_FILE=$(mktemp) # its own: two runs side by side would count each other's files
export COVERAGE_FILE
trap 'rm -f "$COVERAGE_FILE"' EXIT
[ $# -gt 0 ] && COVERAGE=0
unit new "3.14.2 3.13.2" mypy "$@"
unit old 3.13.0 "" "$@"

if [ $# -eq 0 ]; then
    say "end to end"
    "$HERE/e2e/run.sh" new
    case $? in 0 | 77) ;; *) failed=1 ;; esac
fi

[ "$failed" = 0 ] && [ "$ran" = 0 ] && exit 77
exit "$failed"
