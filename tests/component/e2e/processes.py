"""Programs of the end-to-end test: each started, watched and ended by its own process id."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar


class Program:
    """A running program; its output goes to ``<name>.log``."""

    running: ClassVar[list[Program]] = []

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, name: str, command: list[str], directory: Path, environment: dict[str, str] | None = None
    ) -> Program:
        """Start it; it is ended at the latest when the test ends."""
        log = directory / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=directory,
                env=environment,
            )
        program = cls(name, process, log)
        cls.running.append(program)
        return program

    def check(self) -> None:
        """RuntimeError when it has ended."""
        if self._process.returncode is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self.name} ended with status {self._process.returncode}:\n{tail}")

    async def stop(self) -> int:
        """Ask it to end; its exit status."""
        if self in self.running:
            self.running.remove(self)
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(30):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        return self._process.returncode or 0


async def wait_for_port(port: int, timeout: float = 60.0) -> None:
    """Until something listens on the port of this machine."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
