"""The way out: retained through the broker's memory, readings through the outbox with their number."""

from __future__ import annotations

import json
import math
from unittest import mock

from dlms_mqtt.bridge.mqtt.publisher import Publisher


def test_retained_goes_to_the_broker() -> None:
    broker, outbox = mock.Mock(), mock.Mock()
    publisher = Publisher(broker, outbox)
    publisher.retain("a", "1")
    publisher.retain("b", "", 5.0)
    assert broker.retain.mock_calls == [mock.call("a", "1", math.inf), mock.call("b", "", 5.0)]
    assert not outbox.mock_calls


def test_readings_go_to_the_outbox_with_a_number() -> None:
    broker, outbox = mock.Mock(), mock.Mock()
    Publisher(broker, outbox).store_and_forward("a", {"value": 1})
    topic, payload = outbox.put.call_args.args
    assert topic == "a"
    assert json.loads(payload(7)) == {"seq": 7, "value": 1}
    broker.outbox_filled.assert_called_once_with()


def test_what_was_handed_over_is_kept() -> None:
    broker, outbox = mock.Mock(), mock.Mock()
    Publisher(broker, outbox).keep()
    outbox.spill.assert_called_once_with()


async def test_who_has_very_much_to_say_waits_as_the_broker_says() -> None:
    broker = mock.Mock(room=mock.AsyncMock())
    await Publisher(broker, mock.Mock()).room()
    broker.room.assert_awaited_once_with()
