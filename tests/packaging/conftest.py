"""Packages built once for all tests, and a bare Debian to install them in, made of Debian's own packages."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlms-mqtt-tests"
SOURCES = (
    "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "config.example.yaml", "Dockerfile", ".dockerignore",
    "dlms_mqtt", "docs", "custom_components",
)  # fmt: skip


def run(*command: str | Path, **options: object) -> str:
    """Its standard output; both outputs are shown where it fails."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return str(done.stdout)


def need(*tools: str, root: bool = False) -> None:
    """Skip with the reason; in CI that is a failure."""
    missing = [tool for tool in tools if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    reason = f"no {', '.join(missing)} here" if missing else "not root" if root and os.geteuid() else ""
    if reason and os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    if reason:
        pytest.skip(reason)


def copy_sources(target: Path, names: Sequence[str] = SOURCES) -> Path:
    """The files that packages and image are made of."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    return target


def build(source: Path, output: Path, *kinds: str) -> list[Path]:
    """What ``python -m build`` makes of the sources there, with the tools of this environment."""
    run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", output, source)
    return sorted(output.iterdir())


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``wheel`` and ``sdist`` of this checkout."""
    output = tmp_path_factory.mktemp("dist")
    built = build(copy_sources(tmp_path_factory.mktemp("source") / "dlms-mqtt"), output, "--sdist", "--wheel")
    return {"wheel" if path.suffix == ".whl" else "sdist": path for path in built}


@pytest.fixture(scope="session")
def wheels(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our wheel and those of its dependencies, for Debian's Python."""
    folder = tmp_path_factory.mktemp("wheels")
    # pip runs under that Python: what a dependency wants of its version is asked of the one that runs pip
    pip = [sys.executable, "-m", "pip", "--python", "/usr/bin/python3", "download"]
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    run(*pip, *options, "--dest", folder, f"{packages['wheel']}[esphome]")
    return folder


@pytest.fixture(scope="session")
def debian_archive() -> Path:
    """A bare Debian with Python, as an archive; made once and kept."""
    need("mmdebstrap", root=True)
    (suite,) = [
        line.partition("=")[2]
        for line in Path("/etc/os-release").read_text().splitlines()
        if line.startswith("VERSION_CODENAME=")
    ]
    archive = CACHE / f"debian-{suite}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run side by side: one makes it, the other waits
        if not archive.exists():
            make_debian(suite, archive)
    return archive


def make_debian(suite: str, archive: Path) -> None:
    fresh = archive.with_suffix(".new.tar")
    include = "--include=ca-certificates,python3,python3-venv"
    slim = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    run("mmdebstrap", "--quiet", "--variant=minbase", include, *slim, suite, fresh)
    fresh.rename(archive)


@pytest.fixture(scope="module")
def debian(debian_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That Debian, unpacked, for one module."""
    root = tmp_path_factory.mktemp("debian")
    run("tar", "--extract", "--numeric-owner", "--file", debian_archive, "--directory", root)
    return root
