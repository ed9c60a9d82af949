"""The bridge for half an hour beside everything that goes wrong: does it lose or double a reading, does it grow?

Eight simulated meters each second, every other one ciphered. The broker restarts every minute, two meters get another
fault every 37 seconds, and every four minutes all lines are cut for 20 seconds. Needs Mosquitto and Linux (``/proc``).
``python -m benchmarks.soak [MINUTES]``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt

from benchmarks.bridge import broker, memory, started
from dlms_mqtt.simulator import KEYS, PASSWORD, Faults, household, serve_tcp

MINUTES = 25.0
METERS = 8
TROUBLED = (2, 5)
"""Those that get faults: one with a password, one ciphered."""
BROKER, FAULT, CUT, LOOK = 60.0, 37.0, 240.0, 5.0  # s between two of them
DARK = 20.0  # s for which all lines are cut
GROWTH = 5.0  # MB: what the process may grow between its second minute and its end
IN_FLIGHT = 40
"""Messages of QoS 1 that may come again after a restart of the broker: twenty on their way to it, twenty from it."""
NUMBERED = ("+/reading", "+/event", "+/profile/+")  # the topics whose messages share one ``seq``
KINDS = (
    *("silence", "delay:3", "lost,p=0.3", "doubled,p=0.3", "cut,p=0.2", "garbled,p=0.3", "merged,p=0.2"),
    *("trickle:0.02", "wrong-check,p=0.3", "noise", "echo", "deaf,p=0.3", "drop,p=0.3", "refuse-lists", "stuck:20"),
    *("counter-refused,p=0.2", "exception,p=0.3", "drop-in-blocks", "late-answer:8,p=0.2", "stray-octets", "restart"),
    *("register-reset", "small-pdu:64", "clock-jump:3600"),
)
_SIGN_ON = (
    f"client: 32, authentication: low, password: 'hex:{bytes(PASSWORD).hex()}'",
    f"client: 1, authentication: gmac, encryption_key: 'hex:{bytes(KEYS.encryption).hex()}', "
    f"authentication_key: 'hex:{bytes(KEYS.authentication).hex()}'",
)


class Street:
    """The meters, their faults and their lines."""

    def __init__(self) -> None:
        self.faults = [Faults(seed=number) for number in range(METERS)]
        self.meters = [household(number + 1, faults=self.faults[number]) for number in range(METERS)]
        self.ports = [0] * METERS
        self.used: Counter[str] = Counter()
        self.cuts = 0
        self._random = random.Random(7)
        self._stack = AsyncExitStack()
        self._servers: list[Any] = []

    async def connect(self) -> None:
        """Every meter answers, at the port it had before."""
        for number, meter in enumerate(self.meters):
            served = serve_tcp(meter, port=self.ports[number], faults=self.faults[number])
            self._servers.append(await self._stack.enter_async_context(served))
            self.ports[number] = self._servers[number].port

    async def disconnect(self) -> None:
        """No line is there."""
        self._servers.clear()
        await self._stack.aclose()

    async def cut(self) -> None:
        """All lines, for a while."""
        self.cuts += 1
        await self.disconnect()
        await asyncio.sleep(DARK)
        await self.connect()

    async def trouble(self) -> None:
        """Another fault for those that have one; it begins with a new connection."""
        for number in TROUBLED:
            faults, kind = self.faults[number], self._random.choice(KINDS)
            for name in {row.partition(":")[0].partition(",")[0] for row in KINDS}:
                faults.remove(name)
            faults.add(kind)
            self.used[kind] += 1
            for connection in list(self._servers[number].connections) if self._servers else ():
                connection.close()


class Subscriber:
    """A session that the broker keeps: it is given what came while it was away."""

    def __init__(self, port: int) -> None:
        self.numbers: Counter[int] = Counter()
        self.longest = [0.0] * METERS
        self._last = [0.0] * METERS
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="soak", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"dlms_mqtt/meter/{name}", 1) for name in NUMBERED]
        )
        self._client.on_message = lambda _client, _data, message: self._take(json.loads(message.payload))
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, reading: dict[str, Any]) -> None:
        self.numbers[reading["seq"]] += 1
        if not {"meter", "key"} <= reading.keys():  # an event, a profile
            return
        number, now = int(reading["meter"][1:]), time.monotonic()
        if self._last[number]:
            self.longest[number] = max(self.longest[number], now - self._last[number])
        self._last[number] = now

    @property
    def missing(self) -> int:
        """How many numbers between the first and the last never came."""
        return max(self.numbers) - min(self.numbers) + 1 - len(self.numbers)

    @property
    def doubled(self) -> int:
        """How many came again."""
        return self.numbers.total() - len(self.numbers)


class Looks:
    """What the process takes, each few seconds."""

    def __init__(self, pid: int) -> None:
        self.memory: list[float] = []
        self.descriptors: list[int] = []
        self._pid = pid

    async def look(self) -> None:
        """FileNotFoundError: the process has ended."""
        self.memory.append(memory(self._pid))
        self.descriptors.append(len(os.listdir(f"/proc/{self._pid}/fd")))

    @property
    def growth(self) -> float:
        """MB from the second minute to the last; 0 where there are not so many."""
        settled = self.memory[int(120 / LOOK) :]
        if not settled:
            return 0.0
        part = max(1, len(settled) // 10)
        return sum(settled[-part:]) / part - sum(settled[:part]) / part


async def _each(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()


@asynccontextmanager
async def _running(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _config(folder: Path, port: int, ports: list[int]) -> Path:
    text = f"bridge: {{id: soak, state_dir: {folder / 'state'}}}\nmqtt: {{host: 127.0.0.1, port: {port}}}\nmeters:\n"
    for number, meter in enumerate(ports):
        line = f'tcp: "127.0.0.1:{meter}", {_SIGN_ON[number % 2]}, timeout: 2'
        text += f"  m{number}:\n    connection: {{{line}}}\n    every: 1s\n"
    path = folder / "config.yaml"
    path.write_text(text)
    return path


async def soak(minutes: float) -> bool:
    """Is all well after so long? What was seen is printed."""
    street = Street()
    await street.connect()
    with tempfile.TemporaryDirectory() as name, broker(Path(name), persistence=True) as running:
        subscriber = Subscriber(running.port)
        path = _config(Path(name), running.port, street.ports)
        with (Path(name) / "log").open("wb") as log:
            async with started("-m", "dlms_mqtt", "run", "--config", str(path), stderr=log) as pid:
                looks, restarts, chance = Looks(pid), itertools.count(), random.Random(7)

                async def restart() -> None:
                    next(restarts)
                    await asyncio.to_thread(running.stop)
                    await asyncio.sleep(chance.choice((0.5, 3.0, 12.0)))
                    await asyncio.to_thread(running.start)

                works = (
                    _each(BROKER, restart),
                    _each(FAULT, street.trouble),
                    _each(CUT, street.cut),
                    _each(LOOK, looks.look),
                )
                with subscriber:
                    async with _running(*works) as tasks:
                        await asyncio.wait(tasks, timeout=60 * minutes, return_when=asyncio.FIRST_EXCEPTION)
                        broken = [task for task in tasks if task.done()]
                    await asyncio.sleep(15)
                    await looks.look()
        traces = (Path(name) / "log").read_bytes().count(b"Traceback")
        logged = (Path(name) / "log").stat().st_size
        await street.disconnect()
    for task in broken:
        print(f"ended before its time: {task.exception()!r}")
    times = next(restarts)
    print(f"{minutes:g} min: {times} restarts of the broker, {street.cuts} cuts of lines, {street.used.total()} faults")
    print(f"  readings     {len(subscriber.numbers)}, {subscriber.missing} lost, {subscriber.doubled} came again")
    sound = max(seconds for number, seconds in enumerate(subscriber.longest) if number not in TROUBLED)
    print(f"  longest gap  {sound:.1f} s of a meter without faults, {max(subscriber.longest):.1f} s of all")
    print(f"  memory, MB   {looks.memory[-1]:.1f}, peak {max(looks.memory):.1f}, {looks.growth:+.1f} after two minutes")
    print(f"  descriptors  {looks.descriptors[-1]}, at most {max(looks.descriptors)}")
    print(f"  log          {logged / 1000:.0f} kB, {traces} tracebacks")
    again = subscriber.doubled > IN_FLIGHT * times
    return not (broken or subscriber.missing or again or traces or looks.growth > GROWTH)


if __name__ == "__main__":
    well = asyncio.run(soak(float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES))
    print("all well" if well else "NOT WELL")
    sys.exit(not well)
