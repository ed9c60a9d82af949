"""``dlms-mqtt service``: a unit that starts this very installation, and a configuration that loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.cli.bridge.service import minimal_config, unit
from dlms_mqtt.meter.presets.preset import preset_connection
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[3]


def test_the_unit_starts_what_printed_it(cli: Cli) -> None:
    (program,) = re.findall(r"^ExecStart=(\S+) run --config /etc/dlms-mqtt/config.yaml$", cli("service").out, re.M)
    assert Path(program).is_absolute()
    assert Path(program).name == "dlms-mqtt"


def test_only_the_program_differs() -> None:
    shipped = (ROOT / "dlms_mqtt/bridge/dlms-mqtt.service").read_text()
    assert unit("/usr/local/bin/dlms-mqtt") == shipped
    assert unit("/opt/a b/dlms-mqtt").count("/opt/a b/dlms-mqtt run ") == 1


def test_called_as_a_program(tmp_path: Path) -> None:
    program = tmp_path / "dlms-mqtt"
    program.write_text(f"#!{sys.executable}\nfrom dlms_mqtt.cli import main\nraise SystemExit(main())\n")
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([program, "service"], capture_output=True, text=True, env=environment, check=True)
    assert f"ExecStart={program} run" in done.stdout
    assert done.stderr == ""  # no terminal there: a pipe gets the unit and nothing else


def test_the_minimal_configuration(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(cli("service", "--config").out)
    loaded = load_config(path, preset_connection, {})
    assert list(loaded.config.meters) == ["house"]
    assert not any(meter.actions for meter in loaded.config.meters.values())
    assert len(minimal_config().splitlines()) <= 15
    assert (ROOT / "config.minimal.yaml").read_text() == minimal_config()
