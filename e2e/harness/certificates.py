"""Throw-away TLS certificates: one authority, one server, one client."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Certificates:
    """PEM files in a folder. authority is the certificate that vouches for both pairs."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority_key = ec.generate_private_key(ec.SECP256R1())
        self.authority_name = name("Sluice e2e authority")
        self.authority = self.write("authority.pem", self.make_authority())
        self.server = self.pair("server", ExtendedKeyUsageOID.SERVER_AUTH)
        self.client = self.pair("client", ExtendedKeyUsageOID.CLIENT_AUTH)

    def make_authority(self):
        builder = self.builder(self.authority_name, self.authority_key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = dict.fromkeys(KEY_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        return builder.sign(self.authority_key, hashes.SHA256())

    def pair(self, stem, purpose):
        """Makes a fresh key and certificate; a pair of the same stem is overwritten."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self.builder(name(f"Sluice e2e {stem}"), key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.authority_key, hashes.SHA256())
        return Pair(self.write(f"{stem}.pem", certificate), self.write_key(f"{stem}.key", key))

    def builder(self, subject, public_key):
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    def write(self, file, certificate):
        path = self.folder / file
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def write_key(self, file, key):
        path = self.folder / file
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path


KEY_USAGES = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
    "key_cert_sign crl_sign encipher_only decipher_only"
).split()


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
