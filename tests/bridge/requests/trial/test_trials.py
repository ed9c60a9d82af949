"""Requests about a meter that is not in force: what they find out, and what they refuse before any line is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.requests.trial import trials
from dlms_mqtt.bridge.requests.trial.first_telegrams import Trial
from dlms_mqtt.bridge.requests.trial.trials import Trials
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.requests.quiet_bridge import TCP, QuietBridge, asked


class Session:
    """A conversation of its own."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    async def run(self, _priority: Priority, work: Callable[[DlmsClient], Awaitable[Any]], *, keep: bool) -> Any:
        async with DlmsClient(self.settings) as client:
            return await work(client)

    async def close(self) -> None:
        """It is closed already."""


@asynccontextmanager
async def meter_of(bridge: QuietBridge) -> AsyncIterator[dict[str, Any]]:
    """The connection of a household on TCP, which the fleet of this bridge can reach."""
    bridge.fleet = SimpleNamespace(new_session=lambda _name, settings: Session(settings))
    async with serve_tcp(household(1), framing="wrapper") as server:
        yield {"tcp": f"127.0.0.1:{server.port}", "client": 16, "timeout": "60s", "retries": 0}


async def refused(work: Awaitable[Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await work
    return caught.value


async def test_a_configuration_that_is_right(bridge: QuietBridge) -> None:
    async with meter_of(bridge) as connection:
        found = await Trials(bridge).validate(asked(meter="attic", config={"connection": connection}))
    assert found["valid"]
    assert found["meter"]["logical_device_name"]


async def test_what_may_be_read(bridge: QuietBridge) -> None:
    async with meter_of(bridge) as connection:
        rows = (await Trials(bridge).objects(asked(config={"connection": connection})))["objects"]
    assert "clock" in {row["key"] for row in rows}  # the public client is shown no energy


async def test_a_meter_in_force_is_asked_in_its_own_session(bridge: QuietBridge) -> None:
    async with meter_of(bridge) as connection:
        settings = ConnectionSettings(tcp=("127.0.0.1", int(connection["tcp"].partition(":")[2])), client=16)
        bridge.meters["attic"] = SimpleNamespace(session=Session(settings), keeps_open=lambda: False)
        bridge.fleet = SimpleNamespace()  # there is no other one
        found = await Trials(bridge).objects(asked(meter="attic"))
    assert found["objects"]
    assert (await refused(Trials(bridge).objects(asked(meter="barn")))).code == "unknown-meter"


async def test_what_is_refused_before_a_line_is_touched(bridge: QuietBridge) -> None:
    asking = Trials(bridge)
    pushes_only = {"push": {"listen": "tcp://0.0.0.0:4060"}, "connection": {}}
    expected = {
        "not-supported": asking.validate(asked(meter="attic", config=pushes_only)),
        "invalid-value": asking.validate(asked(meter="attic", listen=5, config={"connection": TCP})),
        "bad-request": asking.find(asked()),
    }
    assert {code: (await refused(work)).code for code, work in expected.items()} == {code: code for code in expected}
    both = asking.find(asked(line={**TCP, "bind": "tcp://0.0.0.0:4060"}, listen=5))
    assert (await refused(both)).code == "bad-request"
    neither = asking.find(asked(line={"baud": 9600}, listen=5))
    assert (await refused(neither)).code == "bad-request"


async def test_objects_of_a_configuration_need_management(tmp_path: Path) -> None:
    with Store(tmp_path / "state.sqlite") as store:
        bridge = QuietBridge(tmp_path, store, management=False)
        assert (await refused(Trials(bridge).objects(asked(config={"connection": TCP})))).code == "not-allowed"


async def test_a_search(bridge: QuietBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real meter, with the line to itself; what is told of it is JSON."""
    turns: list[str] = []

    @asynccontextmanager
    async def turn(name: str, *_: Any) -> AsyncIterator[None]:
        turns.append(name)
        yield

    async with meter_of(bridge) as connection:
        bridge.fleet = SimpleNamespace(line=lambda _settings: SimpleNamespace(turn=turn))
        found = await Trials(bridge).find(asked(line={"tcp": connection["tcp"], "framing": "wrapper"}))
    assert turns == [f"search on {connection['tcp']}"]
    assert found["found"]
    assert found["connection"]["tcp"] == connection["tcp"]


LISTENING = {"push": {"listen": "tcp://0.0.0.0:4060", "match": {"host": "192.0.2.10"}}}


async def test_a_configuration_that_is_listened_to(bridge: QuietBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    async def first_telegrams(_fleet: Any, trial: Trial, seconds: float, _progress: Any, language: str) -> Any:
        heard.append((trial.listen, trial.match.host, seconds, language))
        return {"telegrams": 3}

    monkeypatch.setattr(trials, "first_telegrams", first_telegrams)
    bridge.fleet.zone = lambda _config: UTC
    request = asked(meter="attic", listen=30, config={**LISTENING, "connection": {}})
    assert await Trials(bridge).validate(request) == {"valid": True, "telegrams": 3}
    assert heard == [("tcp://0.0.0.0:4060", "192.0.2.10", 30.0, "en")]


async def test_who_speaks_on_a_line_or_at_a_port(bridge: QuietBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    async def who_speaks(_fleet: Any, settings: ConnectionSettings, where: str, seconds: float, _progress: Any) -> Any:
        heard.append((settings.tcp, where, seconds))
        return {"found": True}

    monkeypatch.setattr(trials, "who_speaks", who_speaks)
    for line in (TCP, {"bind": "tcp://0.0.0.0:4060"}):
        assert await Trials(bridge).find(asked(line=dict(line), listen=20)) == {"found": True}
    assert heard == [
        (("192.0.2.10", 4059), "connection", 20.0),
        (None, "tcp://0.0.0.0:4060", 20.0),
    ]
    wrong = Trials(bridge).find(asked(line={"tcp": "no port:x"}, listen=20))
    assert (await refused(wrong)).code == "invalid-value"
    with pytest.raises(ConfigError):
        await Trials(bridge).find(asked(line={"bind": "nowhere"}, listen=20))
