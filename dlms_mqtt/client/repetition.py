"""What is asked again by itself and what never is: a read once more after a lost link, a write or a method not.

Who does not know whether a question arrived may repeat it only where the second answer is as good as the first. So
reads are repeated; a write, a method and whatever else changes the meter is not, and its caller hears of the loss.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from dlms_mqtt.client.line.silence import LinkLost
from dlms_mqtt.client.services.logical_names import OutOfTurn
from dlms_mqtt.client.session import MeterSession
from dlms_mqtt.errors import AccessRefused, ConnectionLost, DlmsMqttError, ResponseTimeout, ServiceRefused

if TYPE_CHECKING:
    from dlms_mqtt.client.session import Services

log = logging.getLogger("dlms_mqtt.client")
T = TypeVar("T")


class RepeatingSession(MeterSession):
    """A session whose questions survive a dropped link and a counter that the meter finds too low."""

    async def once(self, call: Callable[[Services], Awaitable[T]]) -> T:
        """Writes and methods are not repeated; when the meter wants a higher counter, the next question has it."""
        if self._lost is not None:
            await self._open_again(self._lost)  # it was gone when it was last associated: that is tried first
        try:
            if not self.reads_out:
                await self._live.settle()
        except LinkLost as error:  # known before anything was written
            await self._open_again(error)
        try:
            return await call(self._services or self._live_services)
        except ServiceRefused as error:
            self.ciphering.adopt(error.invocation_counter, traffic=True)
            raise

    def again(self, call: Callable[[Services], Awaitable[T]]) -> Awaitable[T]:
        """A read is repeated once when the meter dropped the link (DM, FRMR) or wants a higher counter.

        Over datagrams one in blocks begins anew where a block was lost: nobody knows whether the meter has moved on.
        """
        return self._anew(call) if self.transport.datagram else self._again(call)

    async def _anew(self, call: Callable[[Services], Awaitable[T]]) -> T:
        for _ in range(self.settings.retries):
            repeated = self._exchange and self._exchange.repeated
            try:
                return await self._again(call)
            except (AccessRefused, ServiceRefused, OutOfTurn) as error:
                was_repeated = self._exchange is not None and self._exchange.repeated != repeated
                if not was_repeated and not isinstance(error, OutOfTurn):
                    raise
                log.debug("%s: %s; the read begins anew", self.transport.name, error)
        return await self._again(call)

    async def _again(self, call: Callable[[Services], Awaitable[T]]) -> T:
        if self._lost is not None:
            await self._open_again(self._lost)  # it was gone when it was last associated: that is tried first
        try:
            return await call(self._services or self._live_services)
        except ServiceRefused as error:
            if not self.ciphering.adopt(error.invocation_counter, traffic=True):
                raise
            return await call(self._live_services)
        except LinkLost as error:
            await self._open_again(error)
            return await call(self._live_services)

    async def recover(self, error: DlmsMqttError) -> None:
        """Make the association fit for the next question after one that failed so. DlmsMqttError: the meter is gone.

        Whether a silent meter is still there, a new association tells. Over datagrams a late answer is told by its
        number, and many meters refuse a second association: there the next question tells.
        """
        if isinstance(error, ConnectionLost) or (isinstance(error, ResponseTimeout) and not self.transport.datagram):
            await self._open_again(error)
