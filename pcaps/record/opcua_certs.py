"""Certificates of the plant's OPC UA applications and users: `opcua_certs.py FOLDER` writes NAME.der, NAME.pem and
NAME-key.pem.

All are self-signed, as on most plants. Three are not as they should be: `expired`, `sha1` (signed with SHA-1, a key of
1024 bits) and `foreign` (names another application than the one that shows it).
"""

import datetime
import ipaddress
import pathlib
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

UTC = datetime.timezone.utc
LONG = (datetime.datetime(2026, 1, 1, tzinfo=UTC), datetime.datetime(2046, 1, 1, tzinfo=UTC))
PAST = (datetime.datetime(2021, 3, 1, tzinfo=UTC), datetime.datetime(2024, 3, 1, tzinfo=UTC))
# Name: address, validity.
APPLICATIONS = {
    "weir": ("10.20.10.15", LONG),
    "tide": ("10.20.10.16", LONG),
    "scada": ("10.20.20.10", LONG),
    "hist": ("10.20.30.20", LONG),
    "ews": ("10.20.40.10", LONG),
    "jump": ("10.20.50.5", LONG),
    "expired": ("10.20.30.20", PAST),
    "foreign": ("10.20.20.10", LONG),
    "collector": ("10.20.30.20", LONG),                         # a user
}


def uri(name):
    """The application URI that the certificate of an application names."""
    return f"urn:plant.example:{name}"


def write(folder, name, address, validity):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plant"),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])
    usage = x509.KeyUsage(digital_signature=True, content_commitment=True, key_encipherment=True,
                          data_encipherment=True, key_agreement=False, key_cert_sign=True, crl_sign=False,
                          encipher_only=False, decipher_only=False)
    names = [x509.UniformResourceIdentifier(uri(name)), x509.DNSName(f"{name}.plant.example"),
             x509.IPAddress(ipaddress.ip_address(address))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0]).not_valid_after(validity[1])
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.der").write_bytes(certificate.public_bytes(Encoding.DER))
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}-key.pem").write_bytes(pem)


def write_sha1(folder):
    """No library that is kept up signs with SHA-1 any more; OpenSSL does."""
    key, pem = folder / "sha1-key.pem", folder / "sha1.pem"
    names = f"URI:{uri('sha1')},IP:10.20.30.20"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-sha1", "-days", "9000", "-subj",
               "/O=Plant/CN=sha1", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", pem]
    subprocess.run(command, check=True, capture_output=True)
    der = ["openssl", "x509", "-in", pem, "-outform", "DER", "-out", folder / "sha1.der"]
    subprocess.run(der, check=True, capture_output=True)


if __name__ == "__main__":
    to = pathlib.Path(sys.argv[1])
    to.mkdir(exist_ok=True)
    for each, details in APPLICATIONS.items():
        write(to, each, *details)
    write_sha1(to)
