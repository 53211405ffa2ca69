"""The certificate that is served with: the one given, or one made in the data directory."""

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from kit.certificates import Certificates, ensure_certificates
from kit.clock import SystemClock
from kit.settings import BadSetting, Settings


def certificate_of(settings: Settings) -> tuple[Path, Path] | None:
    """The files of the certificate's chain and its key; None without TLS. Raises BadSetting."""
    if not settings.tls:
        return None
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise BadSetting("BERTH_TLS_CERTIFICATE and BERTH_TLS_KEY go together")
    if not settings.tls_certificate:
        made = _ensure(settings)
        return made.server, made.key
    chain, key = Path(settings.tls_certificate), Path(settings.tls_key)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(chain, key)
    except (OSError, ssl.SSLError) as error:
        raise BadSetting(f"BERTH_TLS_CERTIFICATE {chain} with BERTH_TLS_KEY {key} cannot be used: {error}") from error
    return chain, key


def ca_bundle(settings: Settings) -> Path | None:
    """The file that clients on this machine are to trust; None where the machine's own trust is to be enough."""
    if not settings.tls or settings.tls_certificate:
        return None
    return _ensure(settings).authority


def client_context(settings: Settings) -> ssl.SSLContext | None:
    """How commands here verify the server; None without TLS."""
    if not settings.tls:
        return None
    bundle = ca_bundle(settings)
    return ssl.create_default_context(cafile=bundle)


def _ensure(settings: Settings) -> Certificates:
    reached = [urlsplit(settings.api_endpoint).hostname, urlsplit(f"//{settings.registry}").hostname]
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname().lower(), *filter(None, reached)}
    if settings.host not in ("", "0.0.0.0", "::"):  # noqa: S104
        names.add(settings.host)
    return ensure_certificates(settings.data / "tls", sorted(names), now=SystemClock().now())
