"""The framings by the word that asks for each: a row, so that a new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dlms_mqtt.errors import ConfigError

if TYPE_CHECKING:
    from dlms_mqtt.protocol.framing.link import Link

HDLC, WRAPPER = "hdlc", "wrapper"


def _hdlc() -> type[Link]:
    from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink

    return HdlcLink


def _wrapper() -> type[Link]:
    from dlms_mqtt.protocol.framing.wrapper import WrapperLink

    return WrapperLink


#: Word -> its link. A row imports its module only when it is used.
FRAMINGS: dict[str, Callable[[], type[Link]]] = {HDLC: _hdlc, WRAPPER: _wrapper}


def link_class(framing: str) -> type[Link]:
    """The link of a framing. ConfigError where there is none of that name."""
    if framing not in FRAMINGS:
        raise ConfigError(f"there is no framing '{framing}'", hint=f"There is {', '.join(FRAMINGS)}.")
    return FRAMINGS[framing]()


def default_framing(*, serial: bool) -> str:
    """What is spoken where nobody says it: HDLC on serial lines, the wrapper on TCP and UDP."""
    return HDLC if serial else WRAPPER
