"""What needs management is refused where the configuration does not allow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.requests.bridge_at_work import need_management
from dlms_mqtt.client.state.store import Store
from tests.bridge.requests.quiet_bridge import QuietBridge


@pytest.mark.parametrize("management", [True, False])
def test_management(tmp_path: Path, management: bool) -> None:
    with Store(tmp_path / "state.sqlite") as store:
        bridge = QuietBridge(tmp_path, store, management=management)
        if management:
            need_management(bridge)
            return
        with pytest.raises(RequestError) as caught:
            need_management(bridge)
    assert caught.value.code == "not-allowed"
    assert "bridge.management" in caught.value.hint
