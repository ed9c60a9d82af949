"""Every failure that the page of a new meter has a sentence for, provoked at simulated meters with the real bridge."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from home_assistant import Failed, HomeAssistant, eventually, free_port

READER = {"client": 32, "server": 1, "authentication": "low", "password": "12345678"}
KEYS = {"encryption_key": bytes(range(16)).hex(), "authentication_key": bytes(range(0xD0, 0xE0)).hex()}
SWAPPED = {"encryption_key": KEYS["authentication_key"], "authentication_key": KEYS["encryption_key"]}
MANAGER = {"client": 1, "server": 1, "authentication": "gmac"}
PUBLIC = {"client": 16, "server": 1, "authentication": "none"}
SIGN_ON = "iskraemeco-me371"  # a family whose line begins with a sign-on


@dataclass(frozen=True, slots=True)
class Failure:
    """How the meter is simulated (nothing: there is none), what is entered, and the sentences, one for each try."""

    sentences: tuple[str, ...]
    simulate: str | None
    access: dict[str, Any]
    keys: dict[str, str] = field(default_factory=dict)
    preset: str = "generic"


FAILURES = (
    Failure(("link_down",), None, READER),
    Failure(("no_answer",), "--fault silence", PUBLIC),
    Failure(("echo_only",), "--fault echo --fault silence", PUBLIC),
    Failure(("wrong_address",), "", READER | {"server": 17}),
    Failure(("wrong_address",), "--pty --opening sign-on", READER | {"server": 17}, preset=SIGN_ON),
    Failure(("authentication_refused", "locked_out"), "", READER | {"password": "00000000"}),
    Failure(("password_required",), "", PUBLIC | {"client": 32}),
    Failure(("association_refused",), "", PUBLIC | {"client": 99}),
    Failure(("key_wrong",), "", MANAGER, SWAPPED),
    Failure(("counter_refused",), "--fault counter-refused:untold", MANAGER, KEYS),
    Failure(("wrong_client",), "--fault counter-refused:silence", MANAGER, KEYS),
)


async def provoke(home: HomeAssistant, entry_id: str, start_meter: Any) -> None:
    """Each in its own flow, several at a time as several users might; Failed for the first wrong sentence."""
    gate = asyncio.Semaphore(4)

    async def one(number: int, failure: Failure) -> None:
        async with gate:
            await _provoke_one(home, entry_id, start_meter, f"meter{number}", failure)

    async with asyncio.TaskGroup() as tasks:
        for number, failure in enumerate(FAILURES):
            tasks.create_task(one(number, failure))


async def _provoke_one(home: HomeAssistant, entry_id: str, start_meter: Any, name: str, failure: Failure) -> None:
    line, fields, program = await _simulated(start_meter, name, failure.simulate)
    flow = (await home.start_subflow(entry_id, "meter"))["flow_id"]
    await home.answer(flow, {"next_step_id": line}, sub=True)
    await home.answer(flow, fields, sub=True)
    await home.answer(flow, {"next_step_id": "preset"}, sub=True)
    await home.answer(flow, {"preset": failure.preset}, sub=True)
    access = {"name": name, "password_format": "text", **failure.access}
    form = {**access, "ciphering": {"security": "automatic", **failure.keys}}
    for sentence in failure.sentences:
        step = await home.answer(flow, form, sub=True)
        if step["step_id"] == "test_failed":  # nothing was reached: the line may be changed as well
            step = await home.answer(flow, {"next_step_id": "access"}, sub=True)
        if step.get("errors") != {"base": sentence}:
            raise Failed(f"{sentence}: the page says {step.get('errors') or step['step_id']}")
        if "?" in (until := str(step["description_placeholders"]["until"])) and sentence == "locked_out":
            raise Failed(f"locked until {until}")
    await home.close_subflow(flow)
    if program:
        await program.stop()


async def _simulated(start_meter: Any, name: str, options: str | None) -> tuple[str, dict[str, Any], Any]:
    """The kind of line, what is entered for it, and the program at its other end."""
    if options is None or "--pty" not in options:
        address = {"host": "127.0.0.1", "port": free_port()}
        program = None
        if options is not None:
            program = await start_meter(name, [*options.split(), "--tcp", f"127.0.0.1:{address['port']}"])
        return "tcp", address, program
    program = await start_meter(name, options.split())

    async def told() -> Any:
        return _port_of(program.log)

    return "serial", {"port": await eventually(told, "the name of the pseudo-terminal")}, program


def _port_of(log: Path) -> str:
    found = re.search(r"/dev/\S+", log.read_text())
    return found[0] if found else ""
