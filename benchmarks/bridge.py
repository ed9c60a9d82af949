"""The bridge as a process of its own: 200 meters with 20 values each minute on one core, and one meter when idle.

Each value is a number that the simulated meter has never given before, so that its way from the meter's answer to the
publish can be timed. Beside the idle bridge stands the least that could do anything at all: paho-mqtt and pyserial.
Needs Mosquitto and Linux (``/proc``). ``python -m benchmarks.bridge [METERS] [VALUES] [SECONDS]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiomqtt

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.simulator import bare_meter, make, serve_pty, serve_tcp
from dlms_mqtt.simulator.household.household import scaled

METERS, VALUES, SECONDS = 200, 20, 60.0
RSS, FIRST_PUBLISH = 60.0, 2.0  # MB, s: the targets of an idle bridge
ROUNDS = 3
_ROOT = Path(__file__).parents[1]
_CONFIG = """\
bridge: {{state_dir: {state}, timezone: UTC, log_level: warning, watch_files: {watch}}}
mqtt: {{host: 127.0.0.1, port: {port}}}
meters:
"""
_METER = """\
  {name}:
    connection: {{{line}, client: 17}}
    every: {every}s
    read: [{items}]
"""
_BARE = """
import sys, paho.mqtt.client as mqtt, serial
port = serial.Serial(sys.argv[1], 9600, timeout=5)
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", int(sys.argv[2]))
client.loop_start()
port.write(b"?")
client.publish("bare/reading", port.read(1), qos=1, retain=True)
client._thread.join()
"""


class Meters:
    """Simulated meters; ``answered`` tells when each number was given."""

    def __init__(self, values: int) -> None:
        self.answered: list[float] = []
        self.codes = [f"1.0.{1 + index}.7.0.255" for index in range(values)]

    def make(self, number: int) -> Any:
        """One meter with its registers."""
        meter = bare_meter(number)
        meter.add(*(make(3, code, self._read, scaled(0, 27)) for code in self.codes))
        return meter

    def _read(self, _context: Any) -> Data:
        self.answered.append(time.perf_counter())
        return Data(DataType.DOUBLE_LONG_UNSIGNED, len(self.answered) - 1)


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """A Mosquitto of our own; its port."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("this section needs mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit("mosquitto does not start")


@asynccontextmanager
async def started(*command: str, core: int | None = None) -> AsyncIterator[int]:
    """A process, ended after; its id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, "PYTHONPATH": str(_ROOT)}
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _memory(pid: int, row: str = "VmRSS") -> float:
    """MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{row}:")[1].split()[0]) / 1024


def _processor(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _write_config(folder: Path, port: int, lines: list[str], codes: list[str], every: float) -> Path:
    path = folder / "config.yaml"
    text = _CONFIG.format(state=folder / "state", port=port, watch="true")
    for number, line in enumerate(lines):
        text += _METER.format(name=f"m{number}", line=line, every=round(every), items=", ".join(codes))
    path.write_text(text)
    return path


async def load(meters: int, values: int, seconds: float) -> None:
    """The many meters: one interval to come up, one to measure."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[1:] or cores))
    made = Meters(values)
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as port:
        async with contextlib.AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(serve_tcp(made.make(number))) for number in range(meters)]
            lines = [f'tcp: "127.0.0.1:{server.port}"' for server in servers]
            path = _write_config(Path(name), port, lines, made.codes, seconds)
            async with aiomqtt.Client("127.0.0.1", port) as client:
                client.pending_calls_threshold = 1 << 30
                await client.subscribe("dlms_mqtt/meter/+/reading", qos=0)
                begin = time.perf_counter()
                async with started("-m", "dlms_mqtt", "run", "--config", str(path), core=cores[0]) as pid:
                    if len(await _collect(client, made, meters * values)) < meters * values:
                        raise SystemExit("the bridge did not read every meter")
                    print(
                        f"all {meters} meters read for the first time: {time.perf_counter() - begin:.1f} s after start"
                    )
                    # from the middle of one interval to the middle of the next: one round of everything
                    await asyncio.sleep(seconds / 2)
                    before, clock = _processor(pid), time.perf_counter()
                    delays = await _collect(client, made, meters * values, seconds * 1.5)
                    await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - clock)))
                    passed = time.perf_counter() - clock
                    _report(meters, values, delays, _processor(pid) - before, passed, pid)
    os.sched_setaffinity(0, set(cores))


async def _collect(client: aiomqtt.Client, made: Meters, count: int, seconds: float = 120.0) -> list[float]:
    """Delays (s) of so many readings; fewer when the time is over."""
    delays: list[float] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in client.messages:
                delays.append(time.perf_counter() - made.answered[json.loads(bytes(message.payload))["value"]])
                if len(delays) >= count:
                    break
    return delays


def _report(meters: int, values: int, delays: list[float], processor: float, passed: float, pid: int) -> None:
    whole = "" if len(delays) == meters * values else f" (of {meters * values}: MISSED)"
    quantiles = statistics.quantiles(delays, n=100) if len(delays) > 1 else [0.0] * 99
    print(f"{meters} meters x {values} values each {passed:.0f} s: {len(delays)} readings{whole}")
    print(f"  processor    {processor:6.2f} s = {100 * processor / passed:.1f} % of one core")
    print(f"  memory       {_memory(pid):6.1f} MB RSS, peak {_memory(pid, 'VmHWM'):.1f} MB")
    print(
        f"  answer to publish, ms   median {1000 * quantiles[49]:.0f}, 95 % {1000 * quantiles[94]:.0f}, "
        f"worst {1000 * max(delays):.0f}"
    )


async def idle() -> None:
    """One meter, nothing to do: memory, and the time to the first publish."""
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(await _ours())
        bare.append(await _bare())
    print(f"{'one meter, best of ' + str(ROUNDS):<34}{'dlms-mqtt run':>16}{'paho + pyserial':>18}")
    rows = (("start to first publish, s", FIRST_PUBLISH, ".2f"), ("memory when idle, MB RSS", RSS, ".1f"))
    for index, (title, target, form) in enumerate(rows):
        mine, theirs = min(row[index] for row in ours), min(row[index] for row in bare)
        verdict = "reached" if mine <= target else "MISSED"
        print(f"{title:<34}{mine:>16{form}}{theirs:>18{form}}  target {target:g}: {verdict}")


async def _first(port: int, topic: str, pid: Callable[[], int], begin: float, rest: float) -> tuple[float, float]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic)
        async for _ in client.messages:
            break
    first = time.perf_counter() - begin
    await asyncio.sleep(rest)
    return first, _memory(pid())


async def _ours() -> tuple[float, float]:
    made = Meters(VALUES)
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as port:
        async with serve_tcp(made.make(1)) as server:
            path = _write_config(Path(name), port, [f'tcp: "127.0.0.1:{server.port}"'], made.codes, 5)
            begin = time.perf_counter()
            async with started("-m", "dlms_mqtt", "run", "--config", str(path)) as pid:
                return await _first(port, "dlms_mqtt/meter/m0/reading", lambda: pid, begin, 4.0)
    raise AssertionError


async def _bare() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as port:
        async with serve_pty(bare_meter(1), paced=False) as line:
            line.heard = lambda data: line.write(b"!")  # type: ignore[method-assign]
            begin = time.perf_counter()
            async with started("-c", _BARE, line.device, str(port)) as pid:
                return await _first(port, "bare/reading", lambda: pid, begin, 1.0)
    raise AssertionError


def main() -> None:
    """Both parts; the figures of the many meters take two of their intervals."""
    asyncio.run(idle())
    asyncio.run(load(METERS, VALUES, SECONDS))


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    METERS, VALUES, SECONDS = (
        int(given[0]) if given else METERS,
        int(given[1]) if len(given) > 1 else VALUES,
        given[2] if len(given) > 2 else SECONDS,
    )
    main()
