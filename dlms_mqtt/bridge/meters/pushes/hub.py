"""The ports and lines on which meters push: opened once, and what arrives is handed to each receiver."""

from __future__ import annotations

import asyncio
import logging

from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver, Receiver
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.transport.incoming import Call
from dlms_mqtt.transport.listen import Listener, OnData, listen

_LOG = logging.getLogger(__name__)
_TICK = 1.0  # s between looks at messages that will not be completed
_TELL_AGAIN = 60.0  # s between two times that the same refusal is told


class PushHub:
    """One port may serve many meters."""

    def __init__(self) -> None:
        self._receivers: dict[str, dict[str, Receiver]] = {}
        self._listeners: dict[str, Listener] = {}
        self._calls: dict[str, Call] = {}  # by who has connected
        self.trouble: dict[str, str] = {}
        self._refused: dict[str, tuple[str, float]] = {}  # by reason: of whom it was last told, and when

    async def add(self, url: str, receiver: PushReceiver) -> None:
        """Let a meter push to ``url``, which is opened when it is not yet."""
        try:
            await self.join(url, receiver.meter.id, receiver)
        except DlmsMqttError as error:
            self.trouble[url] = error.message
            _LOG.warning("%s", error.message)

    async def join(self, url: str, name: str, receiver: Receiver) -> None:
        """The same for any receiver; ConnectFailed where the port cannot be opened."""
        self.share(url, name, receiver)
        if url not in self._listeners:
            self._listeners[url] = await listen(url, self.feed(url), on_call=lambda call: self._called(url, call))
            self.trouble.pop(url, None)

    def share(self, line: str, name: str, receiver: Receiver) -> None:
        """Hand over what ``feed`` is given of a line that somebody reads."""
        self._receivers.setdefault(line, {})[name] = receiver

    def is_read(self, line: str) -> bool:
        """Does a meter at work listen there?"""
        return bool(self._receivers.get(line))

    def feed(self, line: str) -> OnData:
        """What takes the octets that arrive there."""
        return lambda origin, data, whole: self._received(line, origin, data, whole)

    def remove(self, url: str, meter_id: str) -> None:
        """The meter is gone; the port too, when it was the last."""
        receivers = self._receivers.get(url, {})
        receiver = receivers.pop(meter_id, None)
        if receiver:
            receiver.close()
        if not receivers and (listener := self._listeners.pop(url, None)):
            listener.close()

    def port(self, url: str) -> int:
        """The port that was opened for ``url``."""
        return self._listeners[url].port

    def _called(self, url: str, call: Call) -> None:
        self._calls[call.origin] = call
        any(receiver.take_call(call) for receiver in self._receivers.get(url, {}).values())

    def _received(self, url: str, origin: str, data: bytes, whole: bool) -> None:
        receivers = list(self._receivers.get(url, {}).values())
        if not data:
            self._calls.pop(origin, None)
            for receiver in receivers:
                receiver.forget(origin)
            return
        refused = [receiver.receive(origin, data, whole) for receiver in receivers]
        if call := self._calls.get(origin):
            for receiver in receivers:
                receiver.recognise(call)
        if refused and all(refused):  # nobody could open it
            host = origin.rpartition(":")[0] if url in self._listeners else origin
            self._tell_refused(host, refused[0][0].error)

    def _tell_refused(self, host: str, error: DlmsMqttError) -> None:
        """Once for a sender, and once a minute for each reason, however many send."""
        why, now = getattr(error, "reason", "") or type(error).__name__, asyncio.get_running_loop().time()
        last, at = self._refused.get(why, ("", float("-inf")))
        if last != host and now - at >= _TELL_AGAIN:
            _LOG.warning("%s: a push was refused: %s", host, error.message)
            self._refused[why] = host, now

    async def run(self) -> None:
        """Give up what will not be completed, now and then."""
        while True:
            await asyncio.sleep(_TICK)
            for receivers in self._receivers.values():
                for receiver in receivers.values():
                    receiver.tick()
