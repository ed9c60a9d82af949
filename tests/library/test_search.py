"""``find``: steps, then a connection that ``Meter`` takes as it is."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest

from dlms_mqtt import Meter, find
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.simulator import household, serve_tcp
from tests.free_port import free_port


async def test_it_ends_with_a_connection() -> None:
    async with serve_tcp(household(1)) as server:
        line = f"tcp://127.0.0.1:{server.port}"
        findings = [finding async for finding in find(line, timeout=120)]
        *steps, last = findings
        assert steps
        assert not any(step.done for step in steps)
        assert all(step.stage for step in steps)
        assert last.done
        assert last.found
        assert "answers" in last.diagnosis
        async with Meter(**last.connection) as meter:
            assert (await meter.read("0-0:42.0.0")).value.startswith("DMQ")
    assert json.loads(last.to_json())["connection"]["tcp"] == line.removeprefix("tcp://")
    assert pickle.loads(pickle.dumps(last)) == last


async def test_with_a_password_and_a_state_file(tmp_path: Any) -> None:
    async with serve_tcp(household(1)) as server:
        access: Any = {"client": 32, "authentication": "low", "password": "12345678"}
        line, state = f"tcp://127.0.0.1:{server.port}", tmp_path / "state"
        found = [finding async for finding in find(line, state=state, timeout=120, **access)][-1]
        assert found.found
        assert "password" not in found.connection
        assert found.connection["client"] == 32
    assert (tmp_path / "state").exists()


async def test_leaving_the_loop_ends_the_search() -> None:
    async with serve_tcp(household(1)) as server:
        search = find(f"tcp://127.0.0.1:{server.port}")
        assert not (await anext(search)).done
        await search.aclose()
        async with asyncio.timeout(60):
            while server.connections:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)


async def test_what_cannot_be_searched() -> None:
    with pytest.raises(ConnectFailed):
        async for _ in find("/dev/no-such-port"):
            pass
    with pytest.raises(ValueError, match="client: "):
        async for _ in find("/dev/ttyS0", client=-1):
            pass
    with pytest.raises(ConnectFailed, match="nobody listens"):
        async for _ in find(f"tcp://127.0.0.1:{free_port()}"):
            pass
