"""Every message from the broker to the one whom it concerns; its topic alone says who that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.topics import Concern, Topics
from dlms_mqtt.bridge.presence.presence import Presence
from dlms_mqtt.bridge.requests.dispatcher import Commands


class Router:
    """The broker's ``Handler``."""

    def __init__(self, topics: Topics, presence: Presence, commands: Commands) -> None:
        self._topics, self._presence = topics, presence
        self._routes: Mapping[Concern, Callable[[Message], object]] = {
            Concern.BIRTH: presence.home_assistant_spoke,
            Concern.COMMAND: commands.receive,
            Concern.BRIDGE: presence.bridge_spoke,
            Concern.RETAINED: presence.retained_came,
        }

    async def broker_connected(self) -> None:
        """The line is up; nothing retained has been sent yet."""
        await self._presence.look_around()

    def broker_message(self, message: Message) -> None:
        """One message, whatever it is."""
        self._routes[self._topics.concern(message.topic)](message)
