"""The configuration in a request: seals opened once, kept secrets taken along, every mistake told."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config.managed_meters import write_meter
from dlms_mqtt.bridge.requests.sent_config import NEW, sent_meter, use_up_seals
from tests.bridge.requests.quiet_bridge import TCP, QuietBridge, asked


def test_an_open_one(bridge: QuietBridge) -> None:
    name, settings, config = sent_meter(bridge, asked(meter="attic", config={"connection": {**TCP, "client": 17}}))
    assert (name, settings.tcp, settings.client) == ("attic", ("192.0.2.10", 4059), 17)
    assert config == {"connection": {**TCP, "client": 17}}
    assert sent_meter(bridge, asked(config={"connection": TCP}), NEW)[0] == "new"


def test_a_seal_opens_one_time(bridge: QuietBridge) -> None:
    sealed = bridge.sealed("text:12345678", "attic")
    connection = {**TCP, "client": 32, "authentication": "low", "password": sealed}
    request = asked(meter="attic", config={"connection": connection})
    assert sent_meter(bridge, request)[1].password is not None
    sent_meter(bridge, request)  # trying it out uses nothing up
    use_up_seals(bridge, request)
    with pytest.raises(RequestError) as caught:
        sent_meter(bridge, request)
    assert (caught.value.code, caught.value.detail) == ("invalid-value", {"reason": "seal"})


async def test_what_is_not_sent_is_taken_as_it_is_kept(bridge: QuietBridge) -> None:
    kept = {"connection": {**TCP, "client": 32, "authentication": "low", "password": "text:12345678"}}
    write_meter(bridge.config.bridge.state_dir, "attic", kept)
    await bridge.reload()
    again = asked(meter="attic", config={"connection": {**TCP, "client": 32, "authentication": "low"}})
    assert sent_meter(bridge, again)[1].password == bridge.loaded.connections["attic"].password
    elsewhere = asked(meter="attic", config={"connection": {"tcp": "192.0.2.66:4059", "client": 32}})
    assert sent_meter(bridge, elsewhere)[1].password is None


def test_every_mistake_is_told(bridge: QuietBridge) -> None:
    with pytest.raises(RequestError) as caught:
        sent_meter(bridge, asked(meter="attic", config={"connection": {**TCP, "client": "x"}, "every": "soon"}))
    assert caught.value.code == "invalid-value"
    assert {row["key"] for row in caught.value.detail["mistakes"]} == {"connection.client", "every"}
