"""What is known of each request before it runs, one row each; its handler stands in ``meter_verbs`` or
``bridge_verbs``.

A request without a row changes something, is done within a minute, and is free to all.
"""

from __future__ import annotations

from typing import NamedTuple

from dlms_mqtt.bridge.api.topics import Address


class Verb(NamedTuple):
    """``looks``: it changes nothing, so its id need not outlive a crash. ``long``: it may take an hour.

    ``managing``: only with ``bridge.management``. ``naming``: where it has no ``meter``, its ``id`` names a meter or
    another request, so the same id is asked anew.
    """

    looks: bool = False
    long: bool = False
    managing: bool = False
    naming: bool = False


VERBS = {
    # of a meter
    "read": Verb(looks=True),
    "write": Verb(),
    "invoke": Verb(),
    "profile": Verb(looks=True, long=True),
    "objects": Verb(looks=True, long=True),
    "clock": Verb(),
    "poll": Verb(looks=True),
    "pause": Verb(),
    "resume": Verb(),
    "dump": Verb(looks=True, long=True),
    # of the bridge
    "ping": Verb(looks=True),
    "ports": Verb(looks=True),
    "presets": Verb(looks=True),
    "schema": Verb(looks=True),
    "config": Verb(looks=True),
    "reload": Verb(managing=True),
    "language": Verb(),
    "meter/validate": Verb(looks=True, managing=True, naming=True),
    "meter/find": Verb(looks=True, long=True, managing=True),
    "meter/objects": Verb(looks=True, long=True, naming=True),
    "meter/add": Verb(managing=True, naming=True),
    "meter/update": Verb(managing=True, naming=True),
    "meter/remove": Verb(managing=True, naming=True),
    # of both
    "cancel": Verb(looks=True, naming=True),
}
_OTHER = Verb()


def verb_of(address: Address) -> Verb:
    """The row of a request; what sets a value or runs an action has none."""
    return VERBS.get(address.name, _OTHER) if address.verb == "request" else _OTHER
