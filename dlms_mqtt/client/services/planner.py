"""How many attributes go into one GET: as few turns of the line as the meter's limits allow.

On a slow half-duplex line each turn costs more than the octets of a list. So a list is cut where the question or the
answer would no longer fit into what travels without an extra turn: one HDLC window of frames, and one PDU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.link import LinkParameters

_LLC = 3  # octets of LLC header in the first frame
_LIST_HEAD = 4  # tag, choice, invoke id, count
QUESTION = 10  # octets of one attribute in a list without selective access
_UNKNOWN = 8  # octets of an answer nobody has seen yet: a 32-bit number and room for text now and then


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets of one APDU, as plain text, that travel in one turn."""

    question: int
    answer: int


def limits(link: LinkParameters | None, send_pdu: int, receive_pdu: int, overhead: int) -> Limits:
    """What one turn can carry. ``link`` is None where frames do not cut (wrapper); a PDU size of 0 means no limit."""
    frame_out = link.max_info_transmit * link.window_transmit - _LLC if link else 0xFFFF
    frame_in = link.max_info_receive * link.window_receive - _LLC if link else 0xFFFF
    return Limits(
        min(frame_out, send_pdu or 0xFFFF) - overhead,
        min(frame_in, receive_pdu or 0xFFFF) - overhead,
    )


def plan(sizes: Sequence[tuple[int, int | None]], limit: Limits, max_items: int) -> list[list[int]]:
    """Cut a list into requests. ``sizes``: octets of question and answer per item (None: unknown); result: indexes."""
    groups: list[list[int]] = []
    question = answer = 0
    for index, (ask, known) in enumerate(sizes):
        expect = _UNKNOWN if known is None else known
        question, answer = question + ask, answer + expect
        full = question > limit.question or answer > limit.answer or (groups and len(groups[-1]) >= max_items)
        if not groups or full:
            groups.append([])
            question, answer = _LIST_HEAD + ask, _LIST_HEAD + expect
        groups[-1].append(index)
    return groups


def halves(items: Iterable[int]) -> list[list[int]]:
    """A refused list as two smaller ones (one item alone: itself)."""
    whole = list(items)
    middle = (len(whole) + 1) // 2
    return [part for part in (whole[:middle], whole[middle:]) if part]
