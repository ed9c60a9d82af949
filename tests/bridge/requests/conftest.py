from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dlms_mqtt.client.state.store import Store
from tests.bridge.requests.quiet_bridge import QuietBridge


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[QuietBridge]:
    with Store(tmp_path / "state.sqlite") as store:
        yield QuietBridge(tmp_path, store)
