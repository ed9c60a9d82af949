"""Three bridges on one broker; one is killed and replaced by a fourth with its state folder: no counter twice."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from dlms_mqtt.protocol.security.counters import PeerCounters
from dlms_mqtt.simulator import KEYS, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import watching
from tests.bridge.house import bridge_process

BRIDGES = 3
METER = f"""\
  {{name}}:
    connection:
      tcp: "127.0.0.1:{{port}}"
      client: 1
      authentication: gmac
      security: both
      invocation_counter: 1
      encryption_key: "hex:{bytes(KEYS.encryption).hex()}"
      authentication_key: "hex:{bytes(KEYS.authentication).hex()}"
      timeout: 60s
      retries: 0
    every: {{every}}s
    read: [1.0.1.7.0.255]
"""


class Noted(PeerCounters):
    """What a meter remembers of its clients; every counter that came, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[bytes, int]] = []

    def take(self, key_id: str, title: bytes, counter: int, verified: bool = True) -> None:
        self.came.append((title, counter))
        super().take(key_id, title, counter, verified)


def _config(folder: Path, broker: int, bridge: str, meters: dict[str, int], every: int) -> Path:
    path = folder / f"{bridge}.yaml"
    rows = "".join(METER.format(name=name, port=port, every=every) for name, port in meters.items())
    path.write_text(
        f"bridge: {{id: {bridge}, state_dir: {folder}/{bridge}, timezone: UTC}}\n"
        f"mqtt: {{host: 127.0.0.1, port: {broker}}}\nmeters:\n{rows}"
    )
    return path


@pytest.mark.parametrize(("each", "every"), [(4, 1), pytest.param(100, 10, marks=pytest.mark.slow_once)])
async def test_a_fourth_takes_the_place_of_a_killed_one(mosquitto, tmp_path, each, every):
    """``each``: ciphered meters of one bridge; ``every``: s between their polls."""
    async with contextlib.AsyncExitStack() as stack:
        seen = await stack.enter_async_context(watching(mosquitto.port))

        def counts() -> dict[str, int]:
            return {name: len(seen.of(f"dlms_mqtt/meter/{name}/reading")) for name in ports}

        meters, ports = {}, {}
        for number in range(BRIDGES * each):
            meters[f"m{number}"] = meter = household(number + 1)
            meter.peer_counters = Noted()
            ports[f"m{number}"] = (await stack.enter_async_context(serve_tcp(meter))).port
        parts = [dict(list(ports.items())[start::BRIDGES]) for start in range(BRIDGES)]
        paths = [_config(tmp_path, mosquitto.port, f"b{index}", part, every) for index, part in enumerate(parts)]
        running = [await stack.enter_async_context(bridge_process(path)) for path in paths]
        await seen.until(lambda: min(counts().values()) >= 2)
        running[1].kill()
        await running[1].wait()
        before = counts()
        (tmp_path / "b1").rename(tmp_path / "b3")  # its state folder goes with it
        await stack.enter_async_context(bridge_process(_config(tmp_path, mosquitto.port, "b3", parts[1], every)))
        await seen.until(lambda: all(number >= before[name] + 2 for name, number in counts().items()))
        rows = [json.loads(text) for name in ports for text in seen.of(f"dlms_mqtt/meter/{name}/reading")]
    assert {row["meter"] for row in rows} == set(ports)
    values = {(row["meter"], row["seq"]): row["raw"] for row in rows}
    assert all(values[row["meter"], row["seq"]] == row["raw"] for row in rows)  # a duplicate keeps its own number
    for meter in meters.values():
        came = meter.peer_counters.came
        assert len(came) > 4 and len(set(came)) == len(came)
        assert len({title for title, _ in came}) == 1  # the fourth goes on as who the killed one was
