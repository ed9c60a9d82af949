"""What importing each library costs in a fresh interpreter: time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from benchmarks.contest import CONTENDERS, Table

ROUNDS = 5
MODULES = ("dlms_mqtt.client.client", "gurux_dlms.GXDLMSClient", "dlms_cosem.client", "pydlms.client")
_PROGRAM = """
import json, sys, time
start = time.perf_counter()
__import__(sys.argv[1])
passed = (time.perf_counter() - start) * 1000
most = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps([passed, int(most.split()[1]) / 1024]))
"""


def main() -> None:
    """Print the table."""
    best = {name: [1e9, 1e9] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as bytecode:  # compiled once for all, whatever is installed how
        for _ in range(ROUNDS + 1):
            for name, module in zip(CONTENDERS, MODULES, strict=True):
                best[name] = [min(pair) for pair in zip(best[name], _cost(module, bytecode), strict=True)]
    table = Table()
    for index, (title, form) in enumerate((("import, ms", ".0f"), ("max RSS, MB", ".1f"))):
        table.row(title, {name: figures[index] for name, figures in best.items()}, more=False, form=form)


def _cost(module: str, bytecode: str) -> list[float]:
    command = [sys.executable, "-c", _PROGRAM, module]
    environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    found: list[float] = json.loads(done.stdout)
    return found
