"""A bridge with its listener: what is asked of it, and the configuration that has one."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from datetime import UTC, datetime

from tests.bridge.house import METER

HTTP = 'http: {listen: "127.0.0.1:0"}\n'
PROFILE = "    profiles:\n      - {obis: 1.0.99.1.0.255, key: load, every: 1h, backfill: 1d}\n"
SECRET = "87654321"
MANAGER = f'client: 33, authentication: low, password: "text:{SECRET}"'


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def get(home, path: str) -> tuple[int, str]:
    return await asyncio.to_thread(_get, f"http://127.0.0.1:{home.app.bridge.http.port}{path}")


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def meters_with_http(server, more: str = "") -> str:
    return METER.replace("PORT", str(server.port)).replace("client: 17", MANAGER) + more + HTTP


def where_it_is_noon() -> str:
    """Today's curve has twelve hours there, whenever the test runs."""
    return f"    timezone: Etc/GMT{datetime.now(UTC).hour - 12:+d}\n"  # signs of POSIX: GMT+5 is five hours behind
