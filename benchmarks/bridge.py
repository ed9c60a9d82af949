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
import statistics
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
from tests.mosquitto import MOSQUITTO, Mosquitto

METERS, VALUES, SECONDS = 200, 20, 60.0
RSS, FIRST_PUBLISH = 60.0, 2.0  # MB, s: the targets of an idle bridge
FIRST = 180.0  # s until every meter must have been read once
SETTLED = 5.0  # s after which what a meter has answered must have come
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
def broker(folder: Path, *, persistence: bool = False) -> Iterator[Mosquitto]:
    """A running Mosquitto."""
    if not MOSQUITTO:
        raise SystemExit("this section needs mosquitto")
    mosquitto = Mosquitto(folder, "allow_anonymous true\nmax_queued_messages 200000", persistence=persistence)
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


@asynccontextmanager
async def started(*command: str, core: int | None = None, stderr: Any = None) -> AsyncIterator[int]:
    """A process, ended after; its id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, "PYTHONPATH": str(_ROOT)}, stderr=stderr
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def memory(pid: int, row: str = "VmRSS") -> float:
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
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as mosquitto:
        async with contextlib.AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(serve_tcp(made.make(number))) for number in range(meters)]
            lines = [f'tcp: "127.0.0.1:{server.port}"' for server in servers]
            path = _write_config(Path(name), mosquitto.port, lines, made.codes, seconds)
            begin = time.perf_counter()
            async with (
                watching(mosquitto.port) as arrivals,
                started("-m", "dlms_mqtt", "run", "--config", str(path), core=cores[0]) as pid,
            ):
                if await _wait(arrivals, meters * values, FIRST) < meters * values:
                    raise SystemExit("the bridge did not read every meter")
                print(f"all {meters} meters read for the first time: {arrivals[-1][0] - begin:.1f} s after start")
                print(f"  processor    {_processor(pid):6.2f} s until then")
                # from the middle of one interval to the middle of the next: one round of everything
                await asyncio.sleep(seconds / 2)
                before, clock, known = _processor(pid), time.perf_counter(), len(arrivals)
                await asyncio.sleep(seconds)
                used, passed = _processor(pid) - before, time.perf_counter() - clock
                _report(made, arrivals, known, used, passed, pid)
    os.sched_setaffinity(0, set(cores))


@asynccontextmanager
async def watching(port: int) -> AsyncIterator[list[tuple[float, bytes]]]:
    """When each reading came, and what it says: looked at all the time, so that nothing waits to be timed."""
    arrivals: list[tuple[float, bytes]] = []

    async def take() -> None:
        async for message in client.messages:
            arrivals.append((time.perf_counter(), bytes(message.payload)))

    async with aiomqtt.Client("127.0.0.1", port) as client:
        client.pending_calls_threshold = 1 << 30
        await client.subscribe("dlms_mqtt/meter/+/reading", qos=0)
        task = asyncio.create_task(take())
        try:
            yield arrivals
        finally:
            task.cancel()


async def _wait(arrivals: list[tuple[float, bytes]], count: int, seconds: float) -> int:
    """Until so many have come, or the time is over; how many have."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(arrivals) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    return len(arrivals)


def _report(
    made: Meters, arrivals: list[tuple[float, bytes]], known: int, used: float, passed: float, pid: int
) -> None:
    numbers = [json.loads(payload)["value"] for _, payload in arrivals]
    delays = [moment - made.answered[number] for (moment, _), number in zip(arrivals, numbers, strict=True)][known:]
    settled = [number for number, moment in enumerate(made.answered) if moment < arrivals[-1][0] - SETTLED]
    lost = len(set(settled) - set(numbers))
    print(f"{len(delays)} readings in {passed:.0f} s; of all, {lost} lost, {len(numbers) - len(set(numbers))} doubled")
    print(f"  longest gap between two readings of a value {_longest_gap(arrivals):.1f} s")
    print(f"  processor    {used:6.2f} s = {100 * used / passed:.1f} % of one core")
    print(f"  memory       {memory(pid):6.1f} MB RSS, peak {memory(pid, 'VmHWM'):.1f} MB")
    quantiles = statistics.quantiles(delays, n=100)
    print(
        f"  answer to publish, ms   median {1000 * quantiles[49]:.0f}, 95 % {1000 * quantiles[94]:.0f}, "
        f"worst {1000 * max(delays):.0f}"
    )


def _longest_gap(arrivals: list[tuple[float, bytes]]) -> float:
    """Seconds: above one and a half intervals a cycle was missed."""
    last: dict[tuple[str, str], float] = {}
    longest = 0.0
    for moment, payload in arrivals:
        reading = json.loads(payload)
        before = last.setdefault((reading["meter"], reading["key"]), moment)
        longest, last[reading["meter"], reading["key"]] = max(longest, moment - before), moment
    return longest


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
    return first, memory(pid())


async def _ours() -> tuple[float, float]:
    made = Meters(VALUES)
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as mosquitto:
        async with serve_tcp(made.make(1)) as server:
            path = _write_config(Path(name), mosquitto.port, [f'tcp: "127.0.0.1:{server.port}"'], made.codes, 5)
            begin = time.perf_counter()
            async with started("-m", "dlms_mqtt", "run", "--config", str(path)) as pid:
                return await _first(mosquitto.port, "dlms_mqtt/meter/m0/reading", lambda: pid, begin, 4.0)
    raise AssertionError


async def _bare() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as mosquitto:
        async with serve_pty(bare_meter(1), paced=False) as line:
            line.from_client = lambda data: line.write(b"!")  # type: ignore[method-assign]
            begin = time.perf_counter()
            async with started("-c", _BARE, line.device, str(mosquitto.port)) as pid:
                return await _first(mosquitto.port, "bare/reading", lambda: pid, begin, 1.0)
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
