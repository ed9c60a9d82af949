"""docs/states.md is what the tables say, and the link goes where the diagram's arrows end."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dlms_mqtt.protocol.framing.hdlc.frame import Frame, Kind
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.hdlc.states import ACTIONS, LinkState
from dlms_mqtt.protocol.framing.link import Side

SCRIPT = Path(__file__).parents[2] / "scripts/state_diagrams.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("state_diagrams", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current() -> None:
    module = script()
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python scripts/state_diagrams.py"


@pytest.mark.parametrize("side", Side)
def test_actions_lead_where_the_arrows_end(side: Side) -> None:
    leads = script()._LEADS
    for state, row in ACTIONS[side].items():
        for kind, action in row.items():
            link = HdlcLink(side)
            link._enter(state)
            control = 0x93 if kind is Kind.UNKNOWN else int(kind) | 0x10
            link._actions[action](Frame(control, link._stations.own, link._stations.peer, b"", False))
            assert link.state is leads.get(action, state), (state, kind, action)
    assert set(leads.values()) <= set(LinkState)
