"""Who else is at the broker, and what earlier runs left there: ids claimed, leftovers cleared, topics put right."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.homeassistant.discovery import ORIGIN_NAME
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.silence import Silence
from dlms_mqtt.bridge.presence.id_claims import Claims
from dlms_mqtt.bridge.presence.leftovers import Leftovers

_LOG = logging.getLogger(__name__)
_SILENCE, _LONGEST_WAIT = 0.4, 20.0  # s: whoever floods the broker keeps no bridge from its work
_JUST_LOOKED = 10.0  # s since the last look around: the line that follows the very first one is no news
_AT_ONCE = 20  # meters whose topics are subscribed to in one message
_CALM = 1.0  # s between two times that a topic is put right
_FOR_EVER = 3600.0
_OLDER = "the bridge id '{}' is held by an older bridge on this broker"
_OVERWRITTEN, _STORM = 3, 60.0  # so often in so many seconds is no old memory of a broker: somebody lives there


class Presence:
    """``ready`` once the first look around is done. ``give_way`` ends the bridge, ``refuse`` one meter."""

    def __init__(
        self,
        topics: Topics,
        started: str,
        broker: Broker,
        fleet: Fleet,
        leftovers: Leftovers,
        give_way: Callable[[str], None],
        refuse: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._bases = {topics.base, leftovers.base}  # an earlier run of ours may have announced the same devices
        self._topics, self._started, self._broker, self._fleet = topics, started, broker, fleet
        self._leftovers, self._give_way, self._refuse = leftovers, give_way, refuse
        self._ghosts = leftovers.clear()
        self.claims = Claims(topics, started, broker.send_now)
        self.collisions: dict[str, str] = {}  # devices that somebody else announces, with a sentence
        self.asleep: set[str] = set()  # meters that are ours and switched off
        self._overwritten: deque[float] = deque(maxlen=_OVERWRITTEN)  # when an older instance stood where we had been
        self._righted: dict[str, bool] = {}  # topics put right just now; True: and overwritten again
        self.ready = False
        self._looked = -math.inf  # when all had come for the last time, by the loop's clock
        self._silence: Silence | None = None  # while retained topics are waited for
        self._asking: asyncio.Task[None] | None = None

    async def look_around(self) -> None:
        """After every connection, before anything is published."""
        await self._fleet.complete.wait()  # nobody else may have what is still to be started
        ours = self._topics.health, self._topics.discovery(self._topics.bridge_device)
        others = self._retained_of(*self._ghosts, *self.asleep)
        await self._broker.subscribe([*self.claims.filters, self._topics.birth, *ours, *others])
        await self._broker.subscribe(self._retained_of(*self._fleet.running))
        if asyncio.get_running_loop().time() - self._looked > _JUST_LOOKED:
            await self._all_has_come()
        if not self.ready:
            await self._check_claims()
            others += await self._look_for_lost()
        await self._broker.unsubscribe(others)
        self.ready = True
        names = list(self._fleet.running)  # more may start meanwhile; they subscribe themselves
        for some in (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)):
            await self._broker.subscribe([each for name in some for each in self.filters(name)])
        await self._broker.subscribe(self._topics.commands)

    async def _all_has_come(self) -> None:
        """Wait until the broker has sent what it keeps on the topics just subscribed to, however much that is."""
        self._silence = Silence(_SILENCE, _LONGEST_WAIT)
        await self._silence.wait()
        self._silence, self._looked = None, asyncio.get_running_loop().time()

    def filters(self, name: str) -> list[str]:
        """What is subscribed to on behalf of a meter."""
        topics = self._topics.meter(name)
        return [*topics.commands, *topics.retained, self._topics.discovery(self._topics.device(name))]

    def _retained_of(self, *meters: str) -> list[str]:
        """Filters for what these keep at the broker, and for what earlier runs may have left there."""
        return [name for meter in meters for name in self._topics.meter(meter).retained]

    async def _check_claims(self) -> None:
        if await self.claims.bridge_is_taken():
            self._give_way(f"the bridge id '{self._topics.bridge}' is held by another bridge on this broker")
            await asyncio.sleep(_FOR_EVER)  # until this connection is ended: nothing may be published
        await self._refuse_held([*self._fleet.running, *self.asleep])

    async def _refuse_held(self, meters: Iterable[str]) -> None:
        for name, holder in (await self.claims.holders(meters)).items():
            await self._refuse(name, holder)

    async def _look_for_lost(self) -> list[str]:
        """What our id is said to have had, and neither configuration nor memory knows: the memory was lost."""
        announced = self.claims.announced_as_ours({*self._fleet.running, *self.asleep, *self._ghosts})
        held = await self.claims.holders(announced)
        lost = self._leftovers.clear_lost({name: row for name, row in announced.items() if name not in held})
        self._ghosts |= lost
        filters = self._retained_of(*lost)
        if filters:
            await self._broker.subscribe(filters)
            await self._all_has_come()
        return filters

    def home_assistant_spoke(self, message: Message) -> None:
        """Home Assistant has started: it wants everything once more."""
        if message.payload == b"online":
            self._broker.send_again()

    def bridge_spoke(self, message: Message) -> None:
        """A bridge said something of itself: another one, or one with our own id."""
        if bridge := self.claims.seen(message.topic, message.payload):
            self._check_rival(bridge)
        self.retained_came(message)

    def retained_came(self, message: Message) -> None:
        """Something on a topic that we or an earlier run retain: put right or cleared where it is not what we say."""
        if message.retained and self._silence is not None:
            self._silence.is_news(message.topic)
        if not self._is_overwritten(message):
            self._clear_leftover(message)

    def _check_rival(self, bridge: str) -> None:
        """Two that started at the same time, or while the broker was away: the younger one gives way."""
        rival = self.claims.rival_started()
        is_older = rival is not None and rival < self._started
        if is_older and bridge == self._topics.bridge and self._lives_by_its_words():
            self._give_way(_OLDER.format(bridge))
            return
        older = is_older or self.claims.contested(self._fleet.running, bridge)
        if older and self.ready and self._asking is None:
            self._asking = asyncio.create_task(self._ask_rival(), name="rival")

    def _lives_by_its_words(self) -> bool:
        """Two with one client id throw each other off the broker: neither can be asked while the other is there.

        Whoever writes over what we have said lives. Once may be a broker that came back with an old memory.
        """
        if self._broker.connected or not self._broker.has_taken(self._topics.info):  # connected: it can be asked
            return False
        now = asyncio.get_running_loop().time()
        self._overwritten.append(now)
        return len(self._overwritten) == _OVERWRITTEN and now - self._overwritten[0] < _STORM

    async def _ask_rival(self) -> None:
        if await self.claims.bridge_is_taken():
            self._give_way(_OLDER.format(self._topics.bridge))
        await self._refuse_held(self.claims.contested(self._fleet.running))
        self._asking = None

    def _is_overwritten(self, message: Message) -> bool:
        """An old instance (or its last will) wrote to a topic of ours: put it right."""
        ours = self._broker.retained(message.topic)
        if ours is None or not self.ready:
            return False
        payload = message.payload.decode(errors="replace")
        if payload != ours and not self._is_another_base(message.topic, payload):
            self._put_right(message.topic)
        return True

    def _is_another_base(self, topic: str, payload: str) -> bool:
        """Does a bridge of another base topic announce a device under our identifier? Neither is in the wrong."""
        discovered = topic.startswith(f"{self._topics.prefix}/device/")
        ours = any(f'"{base}/' in payload for base in self._bases)
        if not discovered or f'"{ORIGIN_NAME}"' not in payload or ours:
            return False
        name = topic.removeprefix(f"{self._topics.prefix}/device/").removesuffix("/config")
        if name not in self.collisions:
            self.collisions[name] = (
                f"the device '{name}' is announced by another program too, with another base topic; "
                "give the meter (or the bridge) another id in one of the two"
            )
            _LOG.error("%s", self.collisions[name])
        return True

    def _put_right(self, topic: str) -> None:
        """At once, then at most once a second: another program that does the same must not make a storm."""
        if topic in self._righted:
            self._righted[topic] = True
            return
        self._broker.send_again(topic)
        self._righted[topic] = False
        asyncio.get_running_loop().call_later(_CALM, self._righted_again, topic)

    def _righted_again(self, topic: str) -> None:
        if self._righted.pop(topic) and self._broker.retained(topic) is not None:
            self._put_right(topic)

    def _clear_leftover(self, message: Message) -> None:
        if not message.retained or not message.payload:
            return
        roots = [self._topics.meter(name).root + "/" for name in self._ghosts]
        roots += [self._topics.meter(name).value("") for name in self.asleep]
        if message.topic.startswith(tuple(roots)):
            self._broker.retain(message.topic, "")
        name = message.topic.removeprefix(f"{self._topics.base}/meter/").partition("/")[0]
        running = self._fleet.running.get(name)
        if running and message.topic.startswith(self._topics.meter(name).value("")):
            running.meter.output.clear_stranger(message.topic)
