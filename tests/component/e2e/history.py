"""History in a real Home Assistant: an upgrade, a meter that pushes, 30 days before the first row, three days' outage.

history.py [--from COMMIT] [--keep DIRECTORY] BRIDGE_PYTHON

By hand, beside end_to_end.py: the recorder takes minutes until it has a statistic. ``--from``: the version of the
repository to come from; its entities are to be there after the upgrade. What the meter says is read by the command
line, past the bridge, and compared hour by hour.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from end_to_end import COMPONENT, CONFIGURATION, ROOT, Story, _expect, _suggested
from home_assistant import Failed, eventually, free_port
from processes import Program

ENERGY = "sensor.house_energy_import"
HOUR = timedelta(hours=1)
DAYS = 30
OUTAGE = (timedelta(days=6), timedelta(days=3))
EXACT = 0.01  # kWh
ACCESS = {
    "name": "House",
    "client": 32,
    "server": 1,
    "authentication": "low",
    "password": "12345678",
    "password_format": "text",
    "ciphering": {"security": "automatic"},
}
CIPHERED = ACCESS | {
    "name": "Ciphered",
    "client": 37,
    "authentication": "gmac",
    "password": "",
    "ciphering": {
        "security": "both",
        "suite": "0",
        "encryption_key": "000102030405060708090a0b0c0d0e0f",
        "authentication_key": "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
    },
}


class History(Story):
    """The chapters of the story, on the programs of the other one."""

    def __init__(self, directory: Path, bridge_python: str, before: str | None) -> None:
        super().__init__(directory, bridge_python, fake=False)
        self.root = ROOT
        self.before = before
        self.second_port, self.push_port = free_port(), free_port()

    async def start_bridge(self) -> None:
        """The bridge, of the version that is looked at."""
        configuration = self.directory / "config.yaml"
        configuration.write_text(CONFIGURATION.format(state=self.state, port=self.broker_port))
        command = [self.bridge_python, "-m", "dlms_mqtt", "run", "--config", str(configuration)]
        environment = {"PYTHONPATH": str(self.root), "TZ": "Europe/Berlin", "HOME": str(self.directory)}
        self.bridge = await Program.start("bridge", command, self.directory, environment)

    async def old_version(self) -> None:
        """The version before: bridge, component, one meter."""
        await self.start_broker()
        await self.start_meter()
        if self.before:
            self.root = self.directory / "before"
            _unpack(self.before, self.root)
        self.home.prepare(self.root / "custom_components" / "dlms_mqtt")
        await self.start_bridge()
        await self.home.start()
        await self.home.onboard()
        await self.home.add_mqtt(self.broker_port)
        await self.add_the_bridge()
        await self.add_polled()
        await self.energy()
        await asyncio.sleep(10)
        self.entities = await self._enabled()

    async def upgrade(self) -> None:
        """Every entity that was enabled still is, under its id, and has a value."""
        if not self.before:
            return
        assert self.bridge
        await self.home.stop()
        await self.bridge.stop()
        self.root = ROOT
        target = self.home.config / "custom_components" / COMPONENT.name
        shutil.rmtree(target)
        shutil.copytree(COMPONENT, target, ignore=shutil.ignore_patterns("__pycache__"))
        await self.start_bridge()
        await self.home.start()
        await self.energy()
        await asyncio.sleep(20)
        now = await self._enabled()
        if lost := {unique: entity for unique, entity in self.entities.items() if now.get(unique) != entity}:
            raise Failed(f"lost in the upgrade: {lost}")
        states = await self.home.states()
        mute = [entity for entity in self.entities.values() if states.get(entity, {}).get("state") == "unavailable"]
        self.say(f"  {len(self.entities)} entities kept; unavailable: {mute}")
        subentry = (await self.home.subentries((await self.bridge_entry())["entry_id"]))[0]
        step = await self.home.start_subflow((await self.bridge_entry())["entry_id"], "meter", subentry["subentry_id"])
        step = await self.home.answer(step["flow_id"], {"next_step_id": "objects"}, sub=True)
        shown = _suggested(step)
        step = await self.home.answer(step["flow_id"], {**shown, "history": True, "history_days": DAYS}, sub=True)
        if step.get("reason") != "reconfigure_successful":
            raise Failed(f"switching the history on: {step}")

    async def _enabled(self) -> dict[str, str]:
        rows = await self.home.ws(type="config/entity_registry/list")
        ours = [row for row in rows if row["platform"] in ("mqtt", "dlms_mqtt") and not row["disabled_by"]]
        return {row["unique_id"]: row["entity_id"] for row in ours}

    async def add_polled(self) -> None:
        """With the past where the version has it; a wrong password first."""
        await self._add(self.meter_port, [{**ACCESS, "password": "00000000"}, ACCESS])

    async def add_ciphered(self) -> None:
        """Keys swapped first."""
        await self.simulate("second", ["--tcp", f"127.0.0.1:{self.second_port}", "--seed", "2"])
        keys = CIPHERED["ciphering"]
        swapped = {
            **keys,
            "encryption_key": keys["authentication_key"],
            "authentication_key": keys["encryption_key"],
        }
        await self._add(self.second_port, [{**CIPHERED, "ciphering": swapped}, CIPHERED])

    async def _add(self, port: int, tries: list[dict[str, Any]]) -> None:
        entry = await self.bridge_entry()
        step = await self.home.start_subflow(entry["entry_id"], "meter")
        flow = step["flow_id"]
        step = await self.home.answer(flow, {"next_step_id": "tcp"}, sub=True)
        step = await self.home.answer(flow, {"host": "127.0.0.1", "port": port}, sub=True)
        step = await self.home.answer(flow, {"next_step_id": "preset"}, sub=True)
        step = await self.home.answer(flow, {"preset": "generic"}, sub=True)
        for fields in tries:
            _expect(step, "form", "access")
            step = await self.home.answer(flow, fields, sub=True)
            self.say(f"  {fields['name']}: {step.get('errors') or step['step_id']}")
        _expect(step, "form", "items")
        shown = _suggested(step)
        past = {"history": True, "history_days": DAYS} if "history" in str(step["data_schema"]) else {}
        step = await self.home.answer(flow, {"items": shown["items"], "every": 5, **past}, sub=True)
        _expect(step, "create_entry")

    async def add_pushing(self) -> None:
        """It connects to a port of the bridge: what came is shown, and becomes entities."""
        await self.simulate("pushing", ["--push", f"tcp://127.0.0.1:{self.push_port},every=3", "--seed", "3"])
        entry = await self.bridge_entry()
        step = await self.home.start_subflow(entry["entry_id"], "meter")
        flow = step["flow_id"]
        step = await self.home.answer(flow, {"next_step_id": "push"}, sub=True)
        step = await self.home.answer(flow, {"next_step_id": "push_bind"}, sub=True)
        step = await self.home.answer(flow, {"protocol": "tcp", "port": self.push_port}, sub=True)
        step = await self.home.answer(flow, {"next_step_id": "push_find"}, sub=True)
        _expect(step, "form", "push_access")
        step = await self.home.answer(flow, {"name": "Pushing"}, sub=True)
        _expect(step, "form", "push_items")
        items = _suggested(step)["items"]
        step = await self.home.answer(flow, {"items": items}, sub=True)
        _expect(step, "create_entry")

        async def has_values() -> bool:
            states = await self.home.states()
            ours = [state["state"] for name, state in states.items() if name.startswith("sensor.pushing_")]
            return len([text for text in ours if text not in ("unknown", "unavailable")]) > 1

        await eventually(has_values, "values of the pushing meter", 60)
        self.say(f"  {len(items)} values came")

    async def before_the_first_row(self) -> None:
        """Thirty days, as soon as the recorder has a statistic of its own."""
        device = await self.device_id()

        async def filled() -> Any:
            await asyncio.sleep(10)
            done = await self.home.action("import_history", device_id=device)
            return done["entities"][ENERGY]["hours"] or len(await self.hours()) > DAYS * 24 - 2

        await eventually(filled, "the past", 900)
        await self.compare()

    async def again(self) -> None:
        """The same period once more brings nothing."""
        done = await self.home.action("import_history", device_id=await self.device_id())
        if any(row["hours"] for row in done["entities"].values()):
            raise Failed(f"imported again: {done}")

    async def outage(self) -> None:
        """Three days are gone from the database while Home Assistant is down; they come back by themselves."""
        await self.home.stop()
        first, last = ((datetime.now(UTC) - back).replace(minute=0, second=0, microsecond=0) for back in OUTAGE)
        with contextlib.closing(sqlite3.connect(self.home.config / "home-assistant_v2.db")) as database:
            cursor = database.execute(
                "DELETE FROM statistics WHERE start_ts >= ? AND start_ts < ?", (first.timestamp(), last.timestamp())
            )
            database.commit()
            self.say(f"  {cursor.rowcount} rows are gone")
        await self.home.start()

        async def whole() -> bool:
            await asyncio.sleep(5)
            return len(await self.hours()) > DAYS * 24 - 2

        await eventually(whole, "the three days, without a word", 600)
        await self.compare()

    async def hours(self) -> dict[datetime, float]:
        """What the chart of the energy dashboard shows."""
        end = datetime.now(UTC)
        found = await self.home.ws(
            type="recorder/statistics_during_period",
            start_time=(end - timedelta(days=DAYS + 1)).isoformat(),
            period="hour",
            statistic_ids=[ENERGY],
            types=["change"],
        )
        return {datetime.fromtimestamp(row["start"] / 1000, UTC): row["change"] for row in found.get(ENERGY, [])}

    async def compare(self) -> None:
        """Each hour against the meter's own register, read past the bridge."""
        told, shown = await self.registers(), await self.hours()
        true = {hour: (told[hour + HOUR] - told[hour]) / 1000 for hour in told if hour + HOUR in told}
        first = min(shown)
        both = {hour: (shown[hour], true[hour]) for hour in shown if hour in true and hour != first}
        wrong = {str(hour): pair for hour, pair in both.items() if abs(pair[0] - pair[1]) > EXACT}
        missing = [str(hour) for hour in true if hour > first and hour not in shown and hour < max(shown)]
        total = sum(a for a, _ in both.values()) - sum(b for _, b in both.values())
        self.say(f"  {len(both)} hours compared, {total:+.4f} kWh in all, since {first}")
        if wrong or missing or len(both) < DAYS * 24 - 26:
            raise Failed(f"wrong: {wrong}; missing: {missing}")

    async def registers(self) -> dict[datetime, float]:
        """The import register at each full hour, in Wh."""
        command = [self.bridge_python, "-m", "dlms_mqtt", "profile", "--tcp", f"127.0.0.1:{self.meter_port}"]
        command += ["--client", "32", "--password", "text:12345678", "1-0:99.1.0", "--from", f"{DAYS + 1}d", "--json"]
        environment = {"PYTHONPATH": str(ROOT), "TZ": "Europe/Berlin", "HOME": str(self.directory)}
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
        output, _ = await process.communicate()
        rows = [row for row in json.loads(output)["values"] if row["obis"] == "1.0.1.8.0.255"]
        found = {datetime.fromisoformat(row["time"]).astimezone(UTC): float(row["value"]) for row in rows}
        return {moment: value for moment, value in found.items() if not moment.minute}

    CHAPTERS = (
        old_version,
        upgrade,
        add_pushing,
        add_ciphered,
        before_the_first_row,
        again,
        outage,
        again,
    )


def _unpack(commit: str, folder: Path) -> None:
    folder.mkdir()
    tree = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", folder], input=tree.stdout, check=True)


async def tell(directory: Path, bridge_python: str, before: str | None) -> int:
    """Run the chapters; 0 when all went well."""
    story = History(directory, bridge_python, before)
    try:
        for chapter in History.CHAPTERS:
            story.say(chapter.__name__.replace("_", " "))
            await chapter(story)
        if complaints := story.home.complaints():
            raise Failed("Home Assistant complains:\n" + "\n".join(complaints))
        story.say("all went well")
    except Failed as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        await story.home.stop()
        for program in list(Program.running):
            await program.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="before")
    parser.add_argument("--keep", type=Path, help="a new directory for all files, which is kept")
    parser.add_argument("bridge_python")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dlms-mqtt-history-")))
        directory.mkdir(parents=True, exist_ok=True)
        return asyncio.run(tell(directory, options.bridge_python, options.before))


if __name__ == "__main__":
    sys.exit(main())
