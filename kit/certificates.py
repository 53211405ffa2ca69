"""Certificates: an authority of one's own, and what it signs for a server. Made once, renewed in time, files 0600.

Whoever trusts the authority's certificate (``ca.pem``) trusts every server certificate made here, also later ones.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kit.files import write_private
from kit.folders import private_folder

AUTHORITY_LASTS = timedelta(days=3650)
# Clients refuse server certificates that are good for longer than 398 days.
SERVER_LASTS = timedelta(days=397)
RENEWED_BEFORE = timedelta(days=60)
# Clocks of other machines may be behind.
_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files in PEM: the authority's certificate, the server's with its chain, and the server's key."""

    authority: Path
    server: Path
    key: Path


def ensure_certificates(folder: Path, names: Sequence[str], *, now: datetime) -> Certificates:
    """The certificates of a server that is reached by ``names`` (host names and IP addresses).

    What is there is kept while it is good for these names and for long enough. A crash leaves nothing that is not
    made good by the next call: a key is written before its certificate, and a pair that does not match is remade.
    """
    private_folder(folder)
    files = Certificates(authority=folder / "ca.pem", server=folder / "server.pem", key=folder / "server.key")
    authority, authority_key = _ensure_authority(files.authority, folder / "ca.key", now)
    wanted = frozenset(names)
    kept = _read(files.server, files.key)
    if (
        kept is None
        or kept[0].not_valid_after_utc - now < RENEWED_BEFORE
        or kept[0].issuer != authority.subject
        or not _is_signed_by(kept[0], authority)
        or not wanted <= _names_of(kept[0])
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        # Names asked for before stay: somebody may still use them.
        known = _names_of(kept[0]) if kept is not None else frozenset()
        certificate = _sign_server(sorted(wanted | known), key, authority, authority_key, now)
        _write_key(files.key, key)
        write_private(files.server, _pem(certificate) + _pem(authority))
    return files


def _ensure_authority(path: Path, key_path: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    kept = _read(path, key_path)
    if kept is not None and kept[0].not_valid_after_utc - now > SERVER_LASTS:
        return kept
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A name of its own, so that two authorities in one machine's trust are told apart.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Berth authority {serial % 16**8:08x}")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), serial, now, AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    write_private(path, _pem(certificate))
    return certificate, key


def _sign_server(
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Berth")])
    serial = x509.random_serial_number()
    return (
        _builder(subject, authority.subject, key.public_key(), serial, now, SERVER_LASTS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=serial,
        not_valid_before=now - _BACKDATED,
        not_valid_after=now + lasts,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset((*found.get_values_for_type(x509.DNSName), *addresses))


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:
        return False
    return True


def _read(path: Path, key_path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """The certificate and its key; None when either is missing or broken, or they do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return certificate, key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, text.decode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
