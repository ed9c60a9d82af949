"""Every exception this package raises, named by who can act on it.

    DlmsMqttError
    ├── ProtocolError
    │   ├── LocalProtocolError        we tried something illegal        -> our bug
    │   └── RemoteProtocolError       the peer sent something illegal   -> log, reconnect
    │       ├── DecodeError           bytes that mean nothing
    │       ├── FramingError          a frame, block or link that is out of order
    │       └── SecurityError         a tag, key, title or counter that is wrong
    ├── MeterRefused                  the meter answered "no"           -> show it, with the standard's code
    │   ├── AssociationRefused        the AARE (or DM) refused
    │   │   └── AuthenticationRefused password or key not accepted: never repeat it, meters lock
    │   ├── AccessRefused             data-access-result of GET, SET, Read or Write
    │   │   └── AttributeFailed       no value came of one attribute, though the meter is there
    │   ├── ActionRefused             action-result of ACTION
    │   └── ServiceRefused            exception-response or confirmed service error
    ├── TransportError                line trouble                      -> retry
    │   ├── ConnectFailed             port or host could not be opened
    │   ├── ConnectionLost            it was open and went away
    │   └── ResponseTimeout           nothing (valid) came in time
    ├── StoreError                    the state file                    -> nothing that depends on it was done
    └── ConfigError                   file, line, key, sentence         -> exit status 2

Facts are fields, so that the command line and Home Assistant can phrase them; ``hint`` is the next step to try.
"""

from __future__ import annotations


class DlmsMqttError(Exception):
    """Root of the tree. ``hint`` says what to try next (one sentence, may be empty)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def name_target(self, target: object) -> None:
        """Say which object it is about, unless that is said already."""
        if str(target) not in self.message:
            self.message = f"{target}: {self.message}"
            self.args = (self.message,)

    kind = ""
    """A short fixed word for what went wrong, where that has one."""

    @property
    def told(self) -> str:
        """What went wrong and what to try, in one sentence or two; the last has no full stop if it came without."""
        stop = "" if self.message.endswith(("?", ".")) else "."
        return f"{self.message}{stop} {self.hint}" if self.hint else self.message


class ProtocolError(DlmsMqttError):
    """A rule of DLMS/COSEM was broken by one side."""


class LocalProtocolError(ProtocolError):
    """We tried to send something that is not allowed now."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that is not allowed."""

    kind = "invalid-answer"


class DecodeError(RemoteProtocolError):
    """Bytes that cannot be decoded; ``offset`` is where reading stopped (-1: unknown)."""

    kind = "undecodable"

    def __init__(self, message: str, *, offset: int = -1, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class FramingError(RemoteProtocolError):
    """A frame, block or link state that is out of order."""


class SecurityError(RemoteProtocolError):
    """A protected message that must not be believed; ``reason`` is a short fixed word."""

    def __init__(self, message: str, *, reason: str = "invalid", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class MeterRefused(DlmsMqttError):
    """The meter answered no. ``code`` is the standard's number, ``name`` the standard's word for it."""

    def __init__(self, message: str, *, code: int | None = None, name: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.name = name


class AssociationRefused(MeterRefused):
    """The association was refused (AARE result and diagnostic, or DM); ``reason`` is a short fixed word or empty."""

    def __init__(
        self, message: str, *, code: int | None = None, name: str = "", reason: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, code=code, name=name, hint=hint)
        self.reason = reason


class AuthenticationRefused(AssociationRefused):
    """Password or key not accepted. Never repeated by itself: meters lock."""


class AccessRefused(MeterRefused):
    """A data-access-result other than success; ``target`` names the object."""

    def __init__(
        self, message: str, *, code: int | None = None, name: str = "", target: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, code=code, name=name, hint=hint)
        self.target = target


class AttributeFailed(AccessRefused):
    """One of several attributes brought no value, and no refusal either; the others were read all the same.

    ``error`` is what came instead (silence, a closed connection, octets that mean nothing). ``sent`` False: the meter
    was gone before this one's turn.
    """

    def __init__(self, message: str, *, error: DlmsMqttError, target: str, sent: bool = True, hint: str = "") -> None:
        super().__init__(message, name=error.kind, target=target, hint=hint)
        self.error = error
        self.sent = sent


class ActionRefused(AccessRefused):
    """An action-result other than success; ``target`` names the method."""


class ServiceRefused(MeterRefused):
    """An exception-response or confirmed service error.

    ``invocation_counter`` is the counter the meter says it expects, when it says one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        name: str = "",
        invocation_counter: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, name=name, hint=hint)
        self.invocation_counter = invocation_counter


class TransportError(DlmsMqttError):
    """Trouble on the line; trying again may help."""


class ConnectFailed(TransportError):
    """The port or host could not be opened."""

    kind = "connect-failed"


class ConnectionLost(TransportError):
    """The line was open and went away."""

    kind = "connection-lost"


class ResponseTimeout(TransportError):
    """Nothing valid came in time; ``received`` is what did come, ``reason`` a fixed word (for a diagnosis)."""

    kind = "no-answer"

    def __init__(self, message: str, *, received: bytes = b"", reason: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.received = received
        self.reason = reason


class StoreError(DlmsMqttError):
    """The state file can't be read or written; nothing that depends on it was done."""


class ConfigError(DlmsMqttError):
    """A mistake of the user: ``file``, ``line`` and ``key`` where known."""

    def __init__(self, message: str, *, file: str = "", line: int = 0, key: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.key = key
