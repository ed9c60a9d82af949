"""The bridge at meters that others met: what of a case's values is published, and what is told."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bridge.conftest import mosquitto, mosquitto_factory
from tests.bridge.house import House, house
from tests.cases.scripted_meter import at_work
from tests.mosquitto import Mosquitto

__all__ = ["mosquitto", "mosquitto_factory"]


def cases() -> list[Any]:
    """Those with a bridge; warnings that it has to log are in the case."""
    found = []
    for path in sorted((Path(__file__).parent / "protocol").glob("*.yaml")):
        case = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "bridge" in case:
            logged = case["bridge"].get("expect_log")
            found.append(pytest.param(case, id=path.stem, marks=[pytest.mark.expect_log(*logged)] if logged else []))
    return found


@pytest.mark.parametrize("case", cases())
async def test_case(
    case: dict[str, Any], mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dlms_mqtt")
    wanted = case["bridge"]
    with at_work(case.get("meter") or {}) as lines:
        config = wanted["config"].replace("127.0.0.1:PORT", f"127.0.0.1:{lines.port}")
        async with house(mosquitto, tmp_path, f"\n  house:\n{textwrap.indent(config, '    ')}") as home:
            for key, value in (wanted.get("want_values") or {}).items():
                await home.until(lambda key=key, value=value: published(home, key, value))
            if told := wanted.get("want_told"):
                await home.until(lambda: re.search(told, caplog.text) or re.search(told, health(home)))
            for key, value in (wanted.get("not_values") or {}).items():
                assert str(value) not in home.seen.of(f"dlms_mqtt/meter/house/value/{key}")
    assert "Traceback" not in caplog.text


def published(home: House, key: str, value: object) -> bool:
    seen = [payload for payload in home.seen.of(f"dlms_mqtt/meter/house/value/{key}") if payload]
    return bool(seen) if value is None else str(value) in seen


def health(home: House) -> str:
    """What health has said so far."""
    return json.dumps(home.seen.of("dlms_mqtt/bridge/main/health"))
