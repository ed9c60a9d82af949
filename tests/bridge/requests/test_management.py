"""Meters added, changed and removed over MQTT: files that are read again, refusals, and disks that take nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.bridge.api import replies
from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.requests import management
from dlms_mqtt.bridge.requests.management import Management
from dlms_mqtt.errors import StoreError
from tests.bridge.requests.quiet_bridge import TCP, QuietBridge, asked

ATTIC: dict[str, Any] = {"meter": "attic", "config": {"connection": TCP}}


async def refused(work: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await work
    return caught.value


async def test_a_meter_from_its_coming_to_its_end(bridge: QuietBridge) -> None:
    requests = Management(bridge)
    assert await requests.add(asked(**ATTIC)) == {"changed": ["attic"], "file": "attic.yaml"}
    assert bridge.loaded.managed == {"attic"}
    again = await refused(requests.add(asked(**ATTIC)))
    assert (again.code, again.hint) == ("invalid-value", "Use meter/update.")
    await requests.update(asked(meter="attic", config={"connection": TCP, "every": "7s"}))
    assert bridge.config.meters["attic"].every == 7
    assert await requests.remove(asked(meter="attic")) == {"changed": ["attic"]}
    assert set(bridge.config.meters) == {"cellar"}


@pytest.mark.parametrize(("meter", "code"), [("cellar", "not-allowed"), ("nobody", "unknown-meter")])
async def test_what_is_not_managed_stays(bridge: QuietBridge, meter: str, code: str) -> None:
    requests = Management(bridge)
    assert (await refused(requests.update(asked(meter=meter, config={"connection": TCP})))).code == code
    assert (await refused(requests.remove(asked(meter=meter)))).code == code
    assert set(bridge.config.meters) == {"cellar"}


async def test_a_seal_adds_one_meter(bridge: QuietBridge) -> None:
    requests = Management(bridge)
    sealed = bridge.sealed("text:12345678", "attic")
    connection = {**TCP, "client": 32, "authentication": "low", "password": sealed}
    body = asked(meter="attic", config={"connection": connection})
    await requests.add(body)
    await requests.remove(asked(meter="attic"))
    assert (await refused(requests.add(body))).detail == {"reason": "seal"}


async def test_two_at_once_with_one_seal_add_one_meter(bridge: QuietBridge) -> None:
    """Each found the seal fresh, and one of them that "No such file or directory"."""
    requests = Management(bridge)
    connection = {**TCP, "client": 32, "authentication": "low", "password": bridge.sealed("text:12345678", "attic")}
    body = asked(meter="attic", config={"connection": connection})
    done, late = await asyncio.gather(requests.add(body), requests.add(body), return_exceptions=True)
    assert done == {"changed": ["attic"], "file": "attic.yaml"}
    assert isinstance(late, RequestError) and late.detail == {"reason": "seal"}


async def test_a_disk_that_takes_nothing(bridge: QuietBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    requests = Management(bridge)
    await requests.add(asked(**ATTIC))
    for name in ("write_meter", "remove_meter"):
        monkeypatch.setattr(managed_meters, name, full)
    monkeypatch.setattr(management, "keep_language", full)
    failures = [requests.update(asked(**ATTIC)), requests.remove(asked(meter="attic"))]
    failures.append(requests.language(asked(language="sv")))
    for failure in failures:
        with pytest.raises(StoreError, match="No space left") as caught:  # no fault of ours: without a traceback
            await failure
        assert replies.failed(caught.value)["error"]["code"] == "internal" and "bridge.state_dir" in caught.value.hint
    assert set(bridge.config.meters) == {"cellar", "attic"}


async def test_the_language_of_home_assistant(bridge: QuietBridge) -> None:
    requests = Management(bridge)
    assert await requests.language(asked(language=" sv ")) == {"language": "sv"}
    assert bridge.loaded.spoken == "sv"
    assert await requests.language(asked(language="sv")) == {"language": "sv"}
    assert (await refused(requests.language(asked(language=" ")))).code == "bad-request"


async def test_a_reload_says_what_changed(bridge: QuietBridge) -> None:
    bridge.path.write_text(bridge.path.read_text() + '  barn: {connection: {tcp: "192.0.2.8:4059"}}\n')
    assert await Management(bridge).reload(asked()) == {"changed": ["barn"]}
