"""The same small fast meter read over loopback TCP: rates, CPU and memory, over the wrapper and over HDLC."""

from __future__ import annotations

import multiprocessing
from typing import Any

from benchmarks.clients import CLIENTS, run
from benchmarks.contest import Table
from benchmarks.meter import served

ROUNDS = 6
#: job -> how to call it, what the rate is called
JOBS: dict[str, tuple[tuple[Any, ...], str]] = {
    "gets": (("gets", 1000), "single GETs/s"),
    "lists": (("lists", 100), "GET with list of 20, values/s"),
    "profile": (("profile",), "profile, rows/s"),
    "view": (("view",), "view of 300, objects/s"),
}


class Contender:
    """A client in a process of its own."""

    def __init__(self, name: str, framing: str, port: int, protection: dict[str, Any] | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=run, args=(name, framing, port, there, protection), daemon=True)
        self._process.start()
        there.close()
        self._pipe.recv()

    def do(self, job: tuple[Any, ...]) -> Any:
        """What came of it: figures, or the error as text."""
        self._pipe.send(job)
        return self._pipe.recv() if self._pipe.poll(60) else "no answer within 60 s"

    def end(self) -> None:
        """Leave the meter."""
        self._pipe.send(None)
        self._process.join(3)
        self._process.kill()


def main() -> None:
    """Print one table for each framing."""
    for framing in ("wrapper", "hdlc"):
        with served(framing) as port:
            print(f"-- {framing}")
            contenders = {name: Contender(name, framing, port) for name in CLIENTS}
            _compare(contenders)
            for contender in contenders.values():
                contender.end()


def _compare(contenders: dict[str, Contender]) -> None:
    table, failures, memory = Table(), [], {}
    for method, (job, title) in JOBS.items():
        rates: dict[str, float] = {}
        cpu: dict[str, float] = {}
        failed: set[str] = set()
        for _ in range(ROUNDS):
            for name, contender in contenders.items():
                if name in failed:
                    continue
                result = contender.do(job)
                if isinstance(result, str):
                    failed.add(name)
                    failures.append(f"   {name} cannot do '{title}': {result}")
                    continue
                count, seconds, cpu_seconds, memory[name] = result
                rates[name] = max(rates.get(name, 0.0), count / seconds)
                cpu[name] = min(cpu.get(name, 1e9), cpu_seconds / count * 1000)
        table.row(title, rates, more=True, form=",.0f")
        if method in ("gets", "profile"):
            table.row(f"   CPU s per 1,000 {'GETs' if method == 'gets' else 'rows'}", cpu, more=False, form=".3f")
    table.row("max RSS, MB", memory, more=False, form=".1f")
    print("\n".join(failures))
