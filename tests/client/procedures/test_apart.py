"""Long work goes to a thread, short work does not."""

from __future__ import annotations

import threading

import pytest

from dlms_mqtt.client.procedures.apart import apart


@pytest.mark.parametrize(("octets", "same"), [(0, True), (1 << 16, True), ((1 << 16) + 1, False)])
async def test_where_it_is_done(octets: int, same: bool) -> None:
    assert (await apart(octets, threading.get_ident) == threading.get_ident()) is same


@pytest.mark.parametrize("octets", [1, 1 << 20])
async def test_errors_come_back(octets: int) -> None:
    with pytest.raises(ZeroDivisionError):
        await apart(octets, lambda: 1 // 0)
