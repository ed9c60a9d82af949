"""Six everyday tasks written for each library: lines of code, seconds, CPU and memory, each in a fresh process.

Time and CPU are those of the whole process, the imports included, as a script of installed libraries has them: their
bytecode is there (the first round writes it). Then 1,000 meters read once.
"""

from __future__ import annotations

import ast
import importlib
import io
import itertools
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

MODULES = {"dlms-mqtt": "ours", "gurux-dlms": "gurux", "dlms-cosem": "dlms_cosem", "pydlms-client": "pydlms"}
TASKS = {
    "ten_meters": "ten meters at once, value and unit",
    "profile": "profile to a table, 1,000 rows",
    "clock": "how far the clock is off",
    "ciphered": "a ciphered read with GMAC",
    "push": "a ciphered push decoded",
    "objects": "object list, 300 objects",
}
ROUNDS = 12
METERS = 1000


def main() -> None:
    """Print the tables."""
    from benchmarks import samples
    from benchmarks.ciphered import serve
    from benchmarks.meter import served

    context = multiprocessing.get_context("spawn")
    _, pushed = samples.push()
    here, there = context.Pipe()
    secured = context.Process(target=serve, args=(there,), daemon=True)
    secured.start()
    try:
        with served("wrapper") as port:
            _compare({"plain": port, "secured": here.recv(), "push": pushed.hex()})
    finally:
        secured.terminate()
    _thousand(context)


def _compare(ports: dict[str, Any]) -> None:
    from benchmarks.contest import Table

    figures: dict[tuple[str, str], list[dict[str, float]]] = {}
    counters, order = itertools.count(1_000_000, 1_000_000), random.Random(1)
    with tempfile.TemporaryDirectory() as bytecode:
        for turn in range(ROUNDS + 1):
            jobs = list(itertools.product(TASKS, MODULES))
            order.shuffle(jobs)  # a fixed one gave the same task the same bad moments of a machine in every round
            for task, name in jobs:
                found = _run(name, task, ports, next(counters), bytecode)
                if turn:
                    figures.setdefault((task, name), []).append(found)
    for task, title in TASKS.items():
        print(f"-- {title}")
        table = Table()
        row = {name: float(lines(MODULES[name], task)) for name in MODULES}
        table.row("lines", row, more=False, form=".0f")
        for key, what, form in (("seconds", "s", ".3f"), ("cpu", "CPU s", ".3f"), ("memory", "MB", ".1f")):
            best = {name: min(found[key] for found in figures[task, name]) for name in MODULES}
            table.row(what, best, more=False, form=form)


def _run(name: str, task: str, ports: dict[str, Any], counter: int, bytecode: str) -> dict[str, float]:
    """A task in a process of its own; its result is checked there."""
    job = json.dumps([MODULES[name], task, ports, counter])
    environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-m", "benchmarks.library", job]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{name} does '{task}' wrongly: {done.stderr[-2000:]}")
    return {"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])}


def one(job: str) -> None:
    """The other end of ``_run``."""
    module, task, ports, counter = json.loads(job)
    arguments: dict[str, tuple[Any, ...]] = {
        "ten_meters": ([ports["plain"]] * 10,),
        "ciphered": (ports["secured"], counter),
        "push": (bytes.fromhex(ports["push"]),),
    }
    if module == "dlms_cosem":
        from benchmarks.clients import quiet_dlms_cosem

        quiet_dlms_cosem()
    with redirect_stdout(io.StringIO()):
        result = getattr(importlib.import_module(f"benchmarks.tasks.{module}"), task)(
            *arguments.get(task, (ports["plain"],))
        )
    _check(task, result)
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "memory": int(memory.split()[1]) / 1024}))


def _check(task: str, result: Any) -> None:
    checks = {
        "ten_meters": lambda: [(float(value), unit) for value, unit in result] == [(12345.6, "Wh")] * 10,
        "profile": lambda: len(result) == 1000 and len(result[-1]) == 6,
        "clock": lambda: abs(result) < 86400,
        "ciphered": lambda: result == 123456,
        "push": lambda: len(result) >= 15 and result[0][0].endswith("1.7.0.255") and result[0][1] == 123456,
        "objects": lambda: len(result) == 300,
    }
    if not checks[task]():
        raise SystemExit(f"wrong: {str(result)[:300]}")


def lines(module: str, task: str) -> int:
    """Lines of code of a task: its body, and the helpers of its module that it names, without blanks and comments."""
    tree = ast.parse((Path(__file__).parent / "tasks" / f"{module}.py").read_text())
    parts = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    wanted, seen = [task], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += [node.id for node in ast.walk(parts[name]) if isinstance(node, ast.Name) and node.id in parts]
    return sum(_code(parts[name], own=name == task) for name in seen)


def _code(node: ast.AST, *, own: bool) -> int:
    """Of the task itself the body only; of a helper its head too."""
    found = {line for part in ast.walk(node) if isinstance(part, ast.stmt) for line in _lines(part)}
    return len(found) - (len(_lines(node)) if own else 0)


def _lines(node: Any) -> set[int]:
    """The lines of a statement without those of the statements in it; a docstring has none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return set()
    body = getattr(node, "body", None)
    end = body[0].lineno - 1 if body else node.end_lineno
    return set(range(node.lineno, end + 1)) if body else set(range(node.lineno, node.end_lineno + 1))


# -- 1,000 meters -----------------------------------------------------------------------------------------------------


def _thousand(context: Any) -> None:
    here, there = context.Pipe()
    process = context.Process(target=_serve_meters, args=(there,), daemon=True)
    process.start()
    try:
        ports = here.recv()
        for wanted in (100, METERS):
            reader = context.Process(target=_read_once, args=(ports[:wanted], there))
            reader.start()
            seconds, cpu, memory, good = here.recv()
            reader.join()
            print(
                f"-- {wanted} simulated meters, 5 values each, once, in one process: {seconds:.2f} s, "
                f"{cpu:.2f} s CPU, {memory:.1f} MB; {good} values read"
            )
    finally:
        process.terminate()


CODES = ("1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.1.7.0.255", "1.0.32.7.0.255", "1.0.31.7.0.255")


def _serve_meters(ready: Any) -> None:
    import asyncio
    from contextlib import AsyncExitStack

    from dlms_mqtt.simulator import serve_tcp
    from dlms_mqtt.simulator.description import describe

    objects = [{"obis": code, "class": 3, "value": 123456, "scaler": -1, "unit": "Wh"} for code in CODES]
    bare = {"kind": "bare", "objects": objects, "associations": [32]}

    async def run() -> None:
        async with AsyncExitStack() as stack:
            meters = [describe(bare, seed=seed).meter for seed in range(METERS)]
            servers = [await stack.enter_async_context(serve_tcp(meter)) for meter in meters]
            ready.send([server.port for server in servers])
            await asyncio.Event().wait()

    asyncio.run(run())


def _read_once(ports: list[int], ready: Any) -> None:
    import asyncio

    from benchmarks.clients import most_memory
    from dlms_mqtt import Meter, read_all

    began, used = time.perf_counter(), time.process_time()
    meters = [Meter(f"tcp://127.0.0.1:{port}", client=32, password="12345678", timeout=60) for port in ports]
    found = asyncio.run(read_all(meters, *CODES))
    good = sum(reading.error is None for readings in found for reading in readings)
    ready.send((time.perf_counter() - began, time.process_time() - used, most_memory(), good))


if __name__ == "__main__":
    one(sys.argv[1])
