"""What importing each library costs in a fresh interpreter: time, memory, modules."""

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
import json, resource, sys, time
start = time.perf_counter()
__import__(sys.argv[1])
passed = (time.perf_counter() - start) * 1000
print(json.dumps([passed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(sys.modules)]))
"""


def main() -> None:
    """Print the table."""
    best = {name: [1e9, 1e9, 1e9] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as bytecode:  # compiled once for all, whatever is installed how
        for _ in range(ROUNDS + 1):
            for name, module in zip(CONTENDERS, MODULES, strict=True):
                best[name] = [min(pair) for pair in zip(best[name], _cost(module, bytecode), strict=True)]
    table = Table()
    for index, (title, form) in enumerate((("import, ms", ".0f"), ("max RSS, MB", ".1f"), ("modules", ".0f"))):
        table.row(title, {name: figures[index] for name, figures in best.items()}, more=False, form=form)


def _cost(module: str, bytecode: str) -> list[float]:
    command = [sys.executable, "-c", _PROGRAM, module]
    environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    found: list[float] = json.loads(done.stdout)
    return found
