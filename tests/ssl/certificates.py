"""Certificates for tests, made when they are wanted: an authority, and those that it signs."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "localhost"
OTHER_HOST = "other.test"
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority with a folder; what it signs is valid for a day."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        extensions = [
            x509.BasicConstraints(ca=True, path_length=None),
            x509.KeyUsage(False, False, False, False, False, True, True, False, False),
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()),
        ]
        self._certificate = self._signed(self._name, self._key.public_key(), extensions)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, hosts: list[str]) -> Path:
        """A file with a new key and its certificate, for these host names."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [
            x509.BasicConstraints(ca=False, path_length=None),
            x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
        ]
        certificate = self._signed(_named(name), key.public_key(), extensions)
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def _signed(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, extensions: list[x509.ExtensionType]
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


class Certificates:
    """What the tests need: a server's certificate, another server's, a client's, and a stranger's authority."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self.authority = authority.path
        self.server = authority.sign("server", [HOST])
        self.other = authority.sign("other", [OTHER_HOST])
        self.client = authority.sign("client", ["client.test"])
        self.stranger = Authority(folder, "stranger").sign("stranger-server", [HOST])

    def server_context(self, path: Path | None = None) -> ssl.SSLContext:
        """A server's context, of the standard library."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path or self.server)
        context.load_verify_locations(self.authority)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client's context, which checks the server's certificate and name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
