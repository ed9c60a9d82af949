"""The Debian package in a bare Debian: built, installed, run with meter and broker, upgraded, removed, purged."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.simulator import household, serve_tcp
from tests.bridge.conftest import PATIENCE, mosquitto, mosquitto_factory, watching  # noqa: F401
from tests.packaging.conftest import ROOT, run

pytestmark = pytest.mark.packages
CONFIG = """\
mqtt: {{host: 127.0.0.1, port: {broker}}}
meters:
  house: {{connection: {{tcp: "127.0.0.1:{meter}", client: 17}}, every: 1s}}
"""


def inside(debian: Path, *words: str) -> str:
    return run("chroot", debian, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words)


def exists(debian: Path, path: str) -> bool:
    return (debian / path.lstrip("/")).is_symlink() or (debian / path.lstrip("/")).exists()


def make_deb(debian: Path, wheels: Path, folder: str) -> str:
    """Built in the bare Debian itself; its path there."""
    target = debian / folder
    shutil.copytree(wheels, target / "wheels")
    shutil.copy(ROOT / "scripts/build-deb", target / "build-deb")
    (wheel,) = target.glob("wheels/dlms_mqtt-*.whl")
    inside(
        debian, "sh", f"/{folder}/build-deb", f"/{folder}/wheels/{wheel.name}", f"/{folder}/out",
        "--no-index", "--find-links", f"/{folder}/wheels",
    )  # fmt: skip
    (deb,) = (target / "out").iterdir()
    return f"/{folder}/out/{deb.name}"


@pytest.fixture(scope="module")
def debs(debian: Path, wheels: Path) -> tuple[str, str]:
    """The package of this checkout, and one of a later version in which a module is gone."""
    this = make_deb(debian, wheels, "this")
    inside(debian, "dpkg-deb", "--raw-extract", this, "/later")
    control = debian / "later/DEBIAN/control"
    control.write_text(control.read_text().replace("Version: ", "Version: 9."))
    (init,) = (debian / "later/opt").rglob("site-packages/dlms_mqtt/__init__.py")
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
    (init.parent / "cli/bridge/alive.py").unlink()
    for compiled in (*init.parent.glob("__pycache__/__init__.*"), *init.parent.glob("cli/bridge/__pycache__/alive.*")):
        compiled.unlink()
    inside(debian, "dpkg-deb", "--root-owner-group", "-Znone", "--build", "/later", "/later.deb")
    return this, "/later.deb"


async def test_its_life(debian: Path, debs: tuple[str, str], mosquitto: Any) -> None:  # noqa: F811
    this, later = debs
    said = inside(debian, "dpkg", "--install", this)
    assert "/etc/dlms-mqtt/config.yaml" in said
    assert inside(debian, "dlms-mqtt", "--version").startswith("dlms-mqtt ")
    assert "dialout" in inside(debian, "id", "-nG", "dlms-mqtt").split()
    assert inside(debian, "stat", "-c", "%U:%G %a", "/etc/dlms-mqtt/config.yaml").strip() == "root:dlms-mqtt 640"
    assert inside(debian, "stat", "-c", "%U %a", "/var/lib/dlms-mqtt").strip() == "dlms-mqtt 700"
    inside(debian, "dlms-mqtt", "check", "--config", "/etc/dlms-mqtt/config.yaml")
    unit = (debian / "lib/systemd/system/dlms-mqtt.service").read_text()
    assert "ExecStart=/opt/dlms-mqtt/bin/dlms-mqtt run --config /etc/dlms-mqtt/config.yaml" in unit
    config = debian / "etc/dlms-mqtt/config.yaml"
    async with serve_tcp(household(1)) as meter:
        config.write_text(CONFIG.format(broker=mosquitto.port, meter=meter.port))
        first = await serve_for_a_while(debian, mosquitto.port)
        inside(debian, "dpkg", "--force-confold", "--install", later)
        assert inside(debian, "dlms-mqtt", "--version").startswith("dlms-mqtt 9.")
        assert not list((debian / "opt/dlms-mqtt").rglob("cli/bridge/alive*"))
        assert "127.0.0.1" in config.read_text()  # the user's file is left alone
        assert await serve_for_a_while(debian, mosquitto.port) > first  # seq goes on: the state was kept
    inside(debian, "dpkg", "--remove", "dlms-mqtt")
    assert not exists(debian, "/opt/dlms-mqtt")
    assert exists(debian, "/var/lib/dlms-mqtt/state.sqlite")
    assert config.exists()
    inside(debian, "dpkg", "--purge", "dlms-mqtt")
    for path in ("/var/lib/dlms-mqtt", "/etc/dlms-mqtt", "/usr/bin/dlms-mqtt", "/lib/systemd/system/dlms-mqtt.service"):
        assert not exists(debian, path), path
    assert "dlms-mqtt" not in (debian / "etc/passwd").read_text()


async def serve_for_a_while(debian: Path, broker: int) -> int:
    """As the unit starts it: its user, its groups, no capability; the highest ``seq`` of its readings."""
    command = ["setpriv", "--reuid", "dlms-mqtt", "--regid", "dlms-mqtt", "--init-groups", "--inh-caps=-all", "--"]
    command += ["/opt/dlms-mqtt/bin/dlms-mqtt", "run", "--config", "/etc/dlms-mqtt/config.yaml"]
    async with watching(broker) as seen:
        process = await asyncio.create_subprocess_exec(
            "chroot", str(debian), *command, stderr=subprocess.PIPE, env={"PATH": "/usr/sbin:/usr/bin"}
        )
        try:
            await seen.until(lambda: len(seen.of("dlms_mqtt/meter/house/reading")) > 3)
        finally:
            process.terminate()
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        await seen.until(lambda: seen.latest["dlms_mqtt/bridge/main/state"] == "offline")
        assert process.returncode == 0, said.decode()
        return int(seen.json("dlms_mqtt/meter/house/reading")["seq"])
