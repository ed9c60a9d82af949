"""The plain text of what a client protects and opens: a capture holds it, because no key may go with it."""

from __future__ import annotations

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.protocol.security import Cipher, Unprotected


class Unveiler:
    """Remembers the plain text of every ciphered message of a client."""

    def __init__(self, client: DlmsClient) -> None:
        self.plain: dict[bytes, bytes] = {}
        self._make = client.ciphering.new_cipher
        client.ciphering.new_cipher = self._new_cipher  # type: ignore[method-assign]

    def _new_cipher(self) -> Cipher | None:
        cipher = self._make()
        if cipher is not None:
            protect, unprotect = cipher.protect_apdu, cipher.open
            cipher.protect_apdu = lambda apdu, form=None: self._sealed(protect(apdu, form), apdu)  # type: ignore[method-assign]
            cipher.open = lambda apdu: self._opened(apdu, unprotect(apdu))  # type: ignore[method-assign]
        return cipher

    def _sealed(self, ciphered: bytes, plain: bytes) -> bytes:
        self.plain[ciphered] = plain
        return ciphered

    def _opened(self, ciphered: bytes, opened: Unprotected) -> Unprotected:
        self.plain[ciphered] = opened.plaintext
        return opened
