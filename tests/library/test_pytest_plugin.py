"""The plugin in a run of pytest of its own, as a stranger's project has it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from dlms_mqtt import Meter, SyncMeter
from dlms_mqtt.library.pytest_plugin import MeterFactory

ONE = {"kind": "bare", "objects": [{"obis": "1.0.1.8.0.255", "value": 4711, "unit": "Wh"}], "associations": [17]}


def test_a_described_meter_over_tcp(dlms_meter: MeterFactory) -> None:
    first, second = dlms_meter(ONE), dlms_meter(framing="hdlc")
    with SyncMeter(first.url, client=17) as meter:
        assert meter.read("1-0:1.8.0").value == 4711
    with SyncMeter(second.url, client=17, framing="hdlc") as meter:
        assert meter.read("1-0:1.8.0").value > 0


async def test_in_memory(dlms_meter: MeterFactory) -> None:
    simulated = dlms_meter(ONE)
    for _ in range(2):
        async with simulated.memory() as line, Meter(line, client=17) as meter:
            assert (await meter.read("1-0:1.8.0")).value == 4711
    assert not [thread for thread in threading.enumerate() if thread.name == "dlms_meter"]


def test_faults_can_be_added(dlms_meter: MeterFactory) -> None:
    simulated = dlms_meter({"faults": ["refuse-lists"]})
    with SyncMeter(simulated.url, client=17) as meter:
        energy, volts = meter.read("1-0:1.8.0", "1-0:32.7.0")
    assert (energy.unit, volts.unit) == ("Wh", "V")


STRANGER = """
import sys
from dlms_mqtt import SyncMeter

def test_nothing_is_imported_before_it_is_used():
    assert not {"dlms_mqtt.simulator", "dlms_mqtt.client", "yaml", "serial", "voluptuous", "paho", "aiomqtt"} & IMPORTED

IMPORTED = set(sys.modules)

def test_mine(dlms_meter):
    meter = dlms_meter({"objects": [{"obis": "1.0.1.8.0.255", "class": 3, "value": 42, "unit": "Wh"}]})
    with SyncMeter(meter.url, client=17) as mine:
        assert mine.read("1-0:1.8.0").value == 42
"""


def test_in_a_project_of_its_own(tmp_path: Path) -> None:
    text = STRANGER.replace("from dlms_mqtt import SyncMeter\n", "", 1).replace(
        "IMPORTED = set(sys.modules)", "IMPORTED = set(sys.modules)\n\nfrom dlms_mqtt import SyncMeter"
    )
    (tmp_path / "test_mine.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
