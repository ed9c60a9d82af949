"""A simulated meter at work, for bridges that come and go."""

from __future__ import annotations

import pytest

from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household


@pytest.fixture
async def meter():
    async with serve_tcp(household(1)) as server:
        yield server
