"""Draws docs/states.md from the very tables that the program walks: ``python scripts/state_diagrams.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dlms_mqtt.protocol.framing.hdlc.states import ACTIONS, Action, LinkState
from dlms_mqtt.protocol.framing.link import Side
from dlms_mqtt.protocol.states import ANY_TIME, RULES

PAGE = Path(__file__).parents[1] / "docs/states.md"
#: Actions after which the link is in another state, as HdlcLink does them.
_LEADS = {
    Action.ACCEPT_ANSWER: LinkState.CONNECTED,
    Action.ACCEPT_REQUEST: LinkState.CONNECTED,
    Action.ACCEPT_END: LinkState.DISCONNECTED,
    Action.LINK_ENDED: LinkState.DISCONNECTED,
    Action.LINK_REFUSED: LinkState.DISCONNECTED,
    Action.LINK_REJECTED: LinkState.DISCONNECTED,
    Action.ANSWER_FRMR: LinkState.DISCONNECTED,
}
_HEAD = """# States

Made by `python scripts/state_diagrams.py` from the tables in `protocol/states.py` and
`protocol/framing/hdlc/states.py`; a test fails when it is out of date. What has no
arrow is illegal (application) or ignored (HDLC).
"""


def _diagram(arrows: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for (start, end), words in arrows.items():
        yield f"    {_id(start)} --> {_id(end)}: {', '.join(words)}"
    yield "```"


def _id(name: str) -> str:
    return name.lower().replace(" ", "_")


def _conversation() -> dict[tuple[str, str], list[str]]:
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in RULES.items():
        for message, cell in row.items():
            for suffix, end in zip((" (more)", ""), cell, strict=True) if isinstance(cell, tuple) else (("", cell),):
                arrows.setdefault((state.name, end.name), []).append(message.__name__ + suffix)
    return arrows


def _link(side: Side) -> dict[tuple[str, str], list[str]]:
    arrows: dict[tuple[str, str], list[str]] = {}
    if side is Side.CLIENT:
        arrows["disconnected", "connecting"] = ["we send SNRM"]
        arrows["connected", "disconnecting"] = ["we send DISC"]
    for state, row in ACTIONS[side].items():
        for kind, action in row.items():
            end = _LEADS.get(action, state)
            arrows.setdefault((state.value, end.value), []).append(f"{kind.name} {action.value}")
    return arrows


def page() -> str:
    """The whole page."""
    pushes = ", ".join(sorted(kind.__name__ for kind in ANY_TIME))
    parts = [_HEAD, f"## The conversation of an association\n\nAt any time, without a change: {pushes}.\n"]
    parts.append("\n".join(_diagram(_conversation())) + "\n")
    for side in Side:
        parts.append(f"## HDLC, the {side.value}'s side\n")
        parts.append("\n".join(_diagram(_link(side))) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
