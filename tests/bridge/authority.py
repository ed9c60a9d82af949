"""Certificates for tests: an authority of their own, and a real broker that shows what it has signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.free_port import free_port


class Authority:
    """Signs certificates of servers and clients; files in ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._own = self._sign(name, self._key.public_key(), None)
        self.file = self._write(f"{name}.pem", self._own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *addresses: str) -> tuple[str, str]:
        """Certificate and key as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), addresses)
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return (
            self._write(f"{self.name}-{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{self.name}-{name}.key", key.private_bytes(*plain)),
        )

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def _sign(self, name, public_key, addresses):
        now, is_authority = datetime.now(UTC), addresses is None
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, self.name))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if is_authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            names = [x509.IPAddress(ip_address(address)) for address in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def secured(factory, authority, *addresses, clients=None):
    """The port of a broker with a certificate of this authority for these addresses."""
    port = free_port()
    certificate, key = authority.issue("broker", *addresses)
    rows = [f"listener {port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}", f"cafile {authority.file}"]
    factory("\n".join(["allow_anonymous true", *rows, *(["require_certificate true"] if clients else [])]))
    return port
