"""The container images, built and run: the bridge in one reads a meter outside it; the app asks a fake Supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt import __version__
from dlms_mqtt.simulator import household, serve_tcp
from tests.bridge.conftest import PATIENCE, mosquitto, mosquitto_factory, watching  # noqa: F401
from tests.bridge.fake_supervisor import TOKEN, fake_supervisor
from tests.packaging.conftest import copy_sources, need, run

pytestmark = pytest.mark.packages
ENDS_WITHIN = 10.0  # s that Docker gives a container to end
CONFIG = """\
mqtt: {{host: 127.0.0.1, port: {broker}}}
meters:
  house: {{connection: {{tcp: "127.0.0.1:{meter}", client: 17}}, every: 1s}}
"""


class Buildah:
    """buildah with a store of its own; no daemon, no namespaces: ``--isolation chroot``."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.base = ["buildah", "--root", f"{folder}/store", "--runroot", f"{folder}/run", "--storage-driver", driver]

    def __call__(self, *words: str | Path) -> str:
        return run(*self.base, *words)

    def inspect(self, image: str) -> dict[str, Any]:
        """What the image says of itself."""
        return dict(json.loads(self("inspect", "--type", "image", image))["Docker"]["config"])


@pytest.fixture(scope="module")
def buildah(debian_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """With a base image made of Debian's packages, as the real ones cannot be fetched here."""
    need("buildah", root=True)
    folder = tmp_path_factory.mktemp("buildah")
    os.link(debian_archive, folder / "debian.tar") if os.stat(folder).st_dev == debian_archive.stat().st_dev else (
        shutil.copy(debian_archive, folder / "debian.tar")
    )
    (folder / "Dockerfile").write_text("FROM scratch\nADD debian.tar /\n")
    tool = Buildah(folder, "overlay")
    try:
        tool("bud", "--quiet", "--isolation", "chroot", "--tag", "localhost/base", folder)
    except AssertionError:  # a file system that overlay does not stand on
        tool = Buildah(folder, "vfs")
        tool("bud", "--quiet", "--isolation", "chroot", "--tag", "localhost/base", folder)
    yield tool
    with contextlib.suppress(AssertionError):
        tool("rm", "--all")
        tool("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def images(buildah: Buildah, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    """localhost/bridge and localhost/app, of the wheels and nothing else: no compiler, no index."""
    context = copy_sources(tmp_path_factory.mktemp("context") / "it")
    shutil.copytree(wheels, context / "wheels")
    arguments = {"BASE": "localhost/base", "PIP_NO_INDEX": "1", "PACKAGE": "dlms-mqtt", "VERSION": __version__}
    options = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    for target in ("bridge", "app"):
        name = f"localhost/{target}"
        options_of = ["--isolation", "chroot", "--format", "docker", "--layers", "--target", target, "--tag", name]
        buildah("bud", *options_of, *options, context)
    return buildah


def test_what_the_images_say(images: Buildah) -> None:
    bridge, app = images.inspect("localhost/bridge"), images.inspect("localhost/app")
    assert bridge["User"] == "10000:20"
    assert not app["User"]  # the Supervisor gives apps root, and the profile takes from it
    for image in (bridge, app):
        assert image["Healthcheck"]["Test"] == ["CMD", "dlms-mqtt", "alive"]
        assert image["Labels"]["org.opencontainers.image.version"] == __version__
    assert app["Labels"]["io.hass.type"] == "app"
    assert app["Labels"]["io.hass.version"] == __version__
    assert "/data" in bridge["Volumes"]


def test_they_are_small(images: Buildah, tmp_path: Path) -> None:
    """What is pulled, on a base of Debian's Python; what we add to it, and nothing only needed to build."""
    images("push", "--quiet", "localhost/bridge", f"oci-archive:{tmp_path}/bridge.tar")
    assert (tmp_path / "bridge.tar").stat().st_size < 120_000_000
    container = images("from", "localhost/bridge").strip()
    sizes = images("run", "--isolation", "chroot", container, "--", "du", "-sk", "/opt/dlms-mqtt")
    assert int(sizes.split()[0]) < 60_000  # a quarter of it reads heads that run ESPHome
    found = images(
        "run", "--isolation", "chroot", container, "--", "sh", "-c", "ls /opt/dlms-mqtt/bin; ls /src || true"
    )
    assert "pip" not in found
    program = "import dlms_mqtt.transport.esphome.head"  # what only an extra brings
    images("run", "--isolation", "chroot", container, "--", "python", "-c", program)


class Container:
    """One container that runs; ``buildah run`` takes the image's user and environment, its command is given."""

    def __init__(self, tool: Buildah, image: str, name: str) -> None:
        self.tool, self.name = tool, name
        self.command = [word for key in ("Entrypoint", "Cmd") for word in tool.inspect(image)[key] or ()]
        tool("from", "--name", name, image)

    def words(self, *command: str, volumes: dict[Path, str], **environment: str) -> list[str]:
        options = [word for source, target in volumes.items() for word in ("--volume", f"{source}:{target}")]
        options += [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        return [*self.tool.base, "run", "--isolation", "chroot", *options, self.name, "--", *command]

    @contextlib.asynccontextmanager
    async def running(self, volumes: dict[Path, str], **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Ends as Docker ends it: SIGTERM to the first process, ten seconds."""
        words = self.words(*self.command, volumes=volumes, **environment)
        process = await asyncio.create_subprocess_exec(*words, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            began = asyncio.get_running_loop().time()
            for pid in children(process.pid):
                os.kill(pid, signal.SIGTERM)
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, said.decode()
        assert asyncio.get_running_loop().time() - began < ENDS_WITHIN


def children(pid: int) -> list[int]:
    """The bridge's own process below ``buildah run``: the Python one."""
    below: list[int] = []
    for entry in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, entry.read_text().split()):
            below += children(child)
            if b"dlms" in Path(f"/proc/{child}/cmdline").read_bytes() and "python" in os.readlink(f"/proc/{child}/exe"):
                below.append(child)
    return below


def owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def test_the_bridge_in_the_image(images: Buildah, mosquitto: Any, tmp_path: Path) -> None:  # noqa: F811
    """Reads, publishes, is alive, ends in time, and goes on with its state after a restart."""
    config, data = tmp_path / "config", tmp_path / "data"
    config.mkdir(), data.mkdir(mode=0o700)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o011)
    os.chown(data, 10000, 20)
    container = Container(images, "localhost/bridge", "bridge")
    volumes = {config: "/config", data: "/data"}
    last = 0
    async with serve_tcp(household(1)) as meter, watching(mosquitto.port) as seen:
        (config / "config.yaml").write_text(CONFIG.format(broker=mosquitto.port, meter=meter.port))
        topic = "dlms_mqtt/meter/house/reading"
        for _ in range(2):
            count = len(seen.of(topic))
            async with container.running(volumes, DLMS_MQTT_ALIVE="/data/alive") as process:
                await seen.until(lambda count=count: len(seen.of(topic)) > count + 3)
                assert {owner(pid) for pid in children(process.pid)} == {10000}
                words = container.words("dlms-mqtt", "alive", volumes=volumes, DLMS_MQTT_ALIVE="/data/alive")
                asked = await asyncio.create_subprocess_exec(*words)
                assert await asked.wait() == 0
            await seen.until(lambda: seen.latest["dlms_mqtt/bridge/main/state"] == "offline")
            assert int(seen.json(topic)["seq"]) > last
            last = int(seen.json(topic)["seq"])


async def test_the_app_in_its_image(images: Buildah, mosquitto: Any, tmp_path: Path) -> None:  # noqa: F811
    """With the Supervisor's folders, its broker, its time zone; ends in time."""
    for folder in ("config", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data/options.json").write_text(json.dumps({"log_level": "info", "mqtt": {}}))
    container = Container(images, "localhost/app", "app")
    volumes = {tmp_path / "config": "/config", tmp_path / "data": "/data"}
    async with fake_supervisor() as supervisor, watching(mosquitto.port) as seen:
        supervisor.broker = {"host": "127.0.0.1", "port": mosquitto.port, "ssl": False, "protocol": "3.1.1"}
        supervisor.language = "de"
        environment = {"SUPERVISOR_API": supervisor.url, "SUPERVISOR_TOKEN": TOKEN, "TZ": "Europe/Vienna"}
        async with container.running(volumes, DLMS_MQTT_ALIVE="/data/alive", **environment):
            await seen.until(lambda: "dlms_mqtt/bridge/main/info" in seen.latest)
        await seen.until(lambda: seen.latest["dlms_mqtt/bridge/main/state"] == "offline")
    assert (tmp_path / "data/state/state.sqlite").exists()
    assert (tmp_path / "config/meters.yaml").exists()
