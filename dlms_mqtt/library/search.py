"""``async for finding in find(port)``: how to talk to an unknown meter, step by step; the last step says it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from dlms_mqtt.client.settings import SECRET_KEYS, key_apart
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.library.connection import Connection, line_of, secret, value_errors
from dlms_mqtt.library.meter_line import State
from dlms_mqtt.library.results import JsonResult

if TYPE_CHECKING:
    from dlms_mqtt.client.state.store import Store
    from dlms_mqtt.meter.finder import Found


@dataclass(frozen=True, slots=True)
class Finding(JsonResult):
    """A step of a search. ``stage``: what is tried, in words; ``seconds``, ``total``: of the estimate.

    The last one has ``done``. ``found``: does a meter answer; ``connection``: the keywords of ``Meter`` for it,
    without secrets; ``diagnosis``: what was found, or what to do, in plain words; ``learned``: facts about the meter.
    """

    stage: str
    seconds: float
    total: float
    done: bool = False
    found: bool = False
    connection: Connection = field(default_factory=Connection)
    diagnosis: str = ""
    causes: tuple[str, ...] = ()
    learned: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "causes"} | {"causes": [*self.causes]}


async def find(
    line: str,
    *,
    seconds: float = 600.0,
    numbers: Sequence[str] = (),
    state: State = None,
    **known: Unpack[Connection],
) -> AsyncGenerator[Finding, None]:
    """Search one line for a meter; nothing but this line is opened, and no password is sent before the link is proved.

    ``seconds``: for the whole search; ``numbers``: printed on the meter; ``state``: a file that remembers what was
    found, and which passwords were refused; ``known``: what you know (everything else is found out). ValueError names
    a wrong value; ConnectFailed where the line cannot be opened. Leaving the loop ends the search.
    """
    steps: asyncio.Queue[Finding | None] = asyncio.Queue()
    task = asyncio.create_task(_search(line, known, steps, seconds, tuple(numbers), state))
    task.add_done_callback(lambda _task: steps.put_nowait(None))
    try:
        while (step := await steps.get()) is not None:
            yield step
        yield _last(task.result())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _search(
    line: str,
    known: Connection,
    steps: asyncio.Queue[Finding | None],
    seconds: float,
    numbers: tuple[str, ...],
    state: State,
) -> Found:
    from dlms_mqtt.meter.finder import Limits
    from dlms_mqtt.meter.finder import find as search

    with ExitStack() as stack, value_errors():
        given = key_apart({name: value for name, value in known.items() if value is not None} | line_of(line))
        given |= {name: secret(name, given[name]) for name in SECRET_KEYS & set(given)}
        return await search(
            given,
            store=stack.enter_context(_store(state)) if state is not None else None,
            progress=lambda done, total, stage: steps.put_nowait(Finding(stage, done, total)),
            limits=Limits(seconds=seconds, numbers=numbers),
        )


def _store(state: State) -> Store:
    from dlms_mqtt.client.state.state_file import default_path
    from dlms_mqtt.client.state.store import Store

    return Store(default_path() if state == "auto" or state is None else Path(state))


def _last(found: Found) -> Finding:
    document = found.json()
    return Finding(
        "done",
        found.seconds,
        found.seconds,
        done=True,
        found=found.found,
        connection=document["connection"],
        diagnosis=found.diagnosis,
        causes=found.causes,
        learned=document["learned"],
    )
