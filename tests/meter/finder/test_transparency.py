"""Which octets do not get through: asked with numbers that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from dlms_mqtt.meter.finder import Found, Limits, find
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line

QUICK = Limits(seconds=150, patience=20)


async def search(bench: Bench, clock: FakeClock, limits: Limits = QUICK, **options: Any) -> Found:
    path, given = options.pop("path", {}), options.pop("given", {})
    async with on_line(bench, clock, **path) as (open_line, near):
        near.peer.fault = options.pop("shape", None)
        return await find({"serial": "bench", **given}, open_line=open_line, limits=limits)


FF, LF = b"\xff", b"\n"
PATHS: dict[str, Callable[[bytes], bytes]] = {
    "swallows-ff": lambda data: data.replace(FF, b""),
    "expands-lf": lambda data: data.replace(LF, b"\r\n"),
    "swallows-xon": lambda data: data.replace(b"\x11", b"").replace(b"\x13", b""),
}


@pytest.mark.parametrize("fault", PATHS)
@pytest.mark.parametrize("ways", [("out",), ("back",), ("out", "back")])
async def test_11_the_path_changes_octets(clock: FakeClock, fault: str, ways: Iterable[str]) -> None:
    found = await search(Bench(), clock, Limits(seconds=200), path=dict.fromkeys(ways, PATHS[fault]))
    assert found.complete or found.names[0] == fault, found
    if fault == "swallows-ff":
        assert not found.complete
