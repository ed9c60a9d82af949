"""A broker tried out: taken, refused, not there; under an id that throws no bridge off it."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.config.sections.bridge import Mqtt, Tls
from dlms_mqtt.bridge.mqtt import trial
from dlms_mqtt.bridge.mqtt.client import V5
from dlms_mqtt.bridge.mqtt.trial import try_broker
from dlms_mqtt.errors import ConfigError
from tests.free_port import free_port


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_a_broker_that_takes_us(mosquitto, protocol):
    assert await try_broker(Mqtt(host="127.0.0.1", port=mosquitto.port, protocol=protocol)) == ""


async def test_a_broker_that_is_not_there():
    assert await try_broker(Mqtt(host="127.0.0.1", port=free_port()))


async def test_files_that_cannot_be_used(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError):
        await try_broker(Mqtt(host="127.0.0.1", port=free_port(), tls=Tls(ca=str(tmp_path / "ca.pem"))))


async def test_each_has_an_id_of_its_own():
    config = Mqtt(host="127.0.0.1", port=1)
    names = {trial._client(config, V5).identifier for _ in range(5)}
    assert len(names) == 5 and all(name.startswith("dlms-mqtt-trial-") for name in names)
