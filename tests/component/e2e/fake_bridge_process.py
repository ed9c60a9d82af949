"""The unit tests' bridge out of memory behind a real broker: proves the flows where the real bridge cannot run.

fake_bridge_process.py PORT STATE_FILE
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

sys.path.insert(0, str(Path(__file__).parents[1]))
from fake_bridge import FakeBridge, Message


class Process:
    """One fake bridge, its state in a file, its will at the broker."""

    def __init__(self, port: int, state: Path) -> None:
        self.state = state
        self.bridge = FakeBridge()
        if state.exists():
            self.bridge.stored = json.loads(state.read_text())
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_connect = self.connected
        self.client.on_message = self.received
        self.client.will_set("dlms_mqtt/bridge/main/state", "offline", 1, True)
        self.client.connect_async("127.0.0.1", port)

    def send(self, *messages: Message) -> None:
        """Publish."""
        for message in messages:
            self.client.publish(message.topic, message.payload, qos=1, retain=message.retain)

    def value(self, meter: str, value: str) -> Message:
        """The one value of a meter."""
        return Message(f"dlms_mqtt/meter/{meter}/value/energy_import", value, True)

    def connected(self, *_args: Any) -> None:
        """Listen, and publish everything."""
        filters = ("bridge/main/request", "meter/+/request", "meter/+/set", "meter/+/do")
        self.client.subscribe([(f"dlms_mqtt/{part}/#", 1) for part in filters])
        self.client.subscribe("homeassistant/status", 1)
        self.send(self.bridge.publish_info(), self.bridge.publish_health(), self.bridge.publish_state())
        for meter in self.bridge.stored:
            self.send(self.bridge.publish_discovery(meter), self.value(meter, "1234.5"))

    def received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        """Answer."""
        if message.topic == "homeassistant/status":
            self.connected()
            return
        before = set(self.bridge.stored)
        self.send(*self.bridge.receive(message.topic, message.payload.decode()))
        self.send(*(self.value(meter, "1234.5") for meter in set(self.bridge.stored) - before))
        self.send(*(self.value(meter, "") for meter in before - set(self.bridge.stored)))
        self.state.write_text(json.dumps(self.bridge.stored))

    def run(self) -> None:
        """Until it is asked to end."""
        self.client.loop_start()
        signal.sigwait([signal.SIGTERM, signal.SIGINT])
        self.client.publish("dlms_mqtt/bridge/main/state", "offline", 1, True).wait_for_publish(5)
        self.client.loop_stop()


Process(int(sys.argv[1]), Path(sys.argv[2])).run()
