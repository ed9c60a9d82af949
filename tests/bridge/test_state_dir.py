"""The state directory: one bridge has it, and whoever was killed has it no more."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.state_dir import locked
from dlms_mqtt.errors import StoreError
from tests.bridge.house import running, write_config

HOLDER = """
import sys, pathlib
from dlms_mqtt.bridge.state_dir import locked
with locked(pathlib.Path(sys.argv[1]), "other"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_had_once(tmp_path):
    folder = tmp_path / "a" / "state"
    with locked(folder, "one"):
        sentence = rf"in use by the bridge 'one' \(process {os.getpid()}\)"
        with pytest.raises(StoreError, match=sentence) as caught, locked(folder, "two"):
            pass
        assert "of its own" in caught.value.hint
        with locked(tmp_path / "b", "two"):
            pass
    with locked(folder, "two"):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(StoreError, match="the bridge 'other'"), locked(tmp_path, "one"):
        pass
    process.kill()
    process.communicate()
    with locked(tmp_path, "one"):
        pass


def test_what_cannot_be_made_is_told_by_whoever_opens_it(tmp_path):
    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / "state", "one"):
        pass


async def test_the_second_bridge_is_refused_and_the_first_goes_on(mosquitto, tmp_path):
    """It would take the other's meters for meters of an earlier run of its own, and clear them."""
    first = App(write_config(tmp_path, mosquitto.port, "", "id: a"), environment={})
    async with running(first) as task:
        while first.bridge is None or not first.bridge.broker.connected:
            assert not task.done()
            await asyncio.sleep(0.01)
        (tmp_path / "two").mkdir()
        path = write_config(tmp_path / "two", mosquitto.port, "", "id: b")
        path.write_text(path.read_text().replace(f"{tmp_path}/two/state", f"{tmp_path}/state"))
        with pytest.raises(StoreError, match="in use by the bridge 'a'"):
            await App(path, environment={}).run()
        assert not task.done() and first.bridge.broker.connected
