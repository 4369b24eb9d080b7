"""TLS for SIP (RFC 3261 §26.3, RFC 5922) and for a broker: verified unless a person says otherwise.

Files that change are read again.
"""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from sip_bridge.errors import TransportError
from sip_bridge.phone.settings import TLSSettings

_LOG = logging.getLogger(__name__)

Key = Literal["certificate", "key", "ca", "client_certificate", "client_key"]
Stamp = tuple[tuple[int, int, int] | None, ...]  # of each file: modification time, inode, size


class TLSFileError(TransportError):
    """A file can't be used; ``key`` is the setting that names it."""

    def __init__(self, key: Key, problem: str) -> None:
        super().__init__(f"tls.{key}: {problem}")
        self.key = key
        self.problem = problem


class TLSContexts:
    """The contexts of both roles. ``client()`` and ``server()`` are asked at each handshake."""

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._client = _Reloading(
            lambda: client_context(settings),
            (settings.ca, *_own(settings)),
            "the certificates for outgoing connections",
        )
        self._server = _Reloading(
            lambda: server_context(settings), (settings.certificate, settings.key), "the server's certificate"
        )

    def check(self) -> None:
        """Read every file that is named; TLSFileError for one that is of no use."""
        if self._settings != TLSSettings():
            self.client()
        if self.is_server:
            self.server()

    @property
    def is_server(self) -> bool:
        """Whether there is a certificate to answer with."""
        return self._settings.certificate is not None

    @property
    def verifies(self) -> bool:
        """Whether the peers that we connect to have to prove their name."""
        return self._settings.verify

    def client(self) -> ssl.SSLContext:
        """For a connection of ours."""
        return self._client.current()

    def server(self) -> ssl.SSLContext:
        """For a peer's connection."""
        return self._server.current()


class _Reloading:
    """A context that is built again when one of its files was changed; the last good one stays until then."""

    def __init__(self, build: Callable[[], ssl.SSLContext], files: tuple[Path | None, ...], what: str) -> None:
        self._build = build
        self._files = files
        self._what = what
        self._stamp: Stamp | None = None
        self._context: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """TransportError only when there never was a good one."""
        stamp = tuple(_stamp(file) for file in self._files)
        if self._context is None or stamp != self._stamp:
            self._read(stamp)
        assert self._context is not None  # noqa: S101  # read just now, or the error was raised
        return self._context

    def _read(self, stamp: Stamp) -> None:
        is_change = self._context is not None
        try:
            self._context = self._build()
        except TLSFileError as error:
            if not is_change:
                raise
            _LOG.warning("%s changed, and the new files are of no use: %s. The old ones stay.", self._what, error)
        else:
            if is_change:
                _LOG.info("%s changed: new connections use the new files", self._what)
        self._stamp = stamp


def client_context(settings: TLSSettings) -> ssl.SSLContext:
    """A peer has to name the host that we asked for in subjectAltName (RFC 5922 §7.1); a wildcard is one label."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the CA file may hold the peer's own certificate
    if settings.verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca is not None:
        _require(settings.ca, "ca")
        try:
            context.load_verify_locations(cafile=settings.ca)
        except (ssl.SSLError, OSError) as error:
            raise TLSFileError("ca", f"{settings.ca} holds no certificates in PEM") from error
    certificate, key = _own(settings)
    if certificate is not None:
        _load_own(context, certificate, key, settings, client=settings.client_certificate is not None)
    return context


def server_context(settings: TLSSettings) -> ssl.SSLContext:
    """Answers with the certificate; asks the peer for none."""
    assert settings.certificate is not None  # noqa: S101  # without one nobody listens
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_own(context, settings.certificate, settings.key, settings, client=False)
    return context


def _own(settings: TLSSettings) -> tuple[Path | None, Path | None]:
    """Certificate and key that we show as a client: the server's, unless there are some for clients."""
    if settings.client_certificate is not None:
        return settings.client_certificate, settings.client_key
    return settings.certificate, settings.key


def _load_own(
    context: ssl.SSLContext, certificate: Path, key: Path | None, settings: TLSSettings, *, client: bool
) -> None:
    certificate_key: Final[Key] = "client_certificate" if client else "certificate"
    key_key: Final[Key] = "client_key" if client else "key"
    _require(certificate, certificate_key)
    if key is not None:
        _require(key, key_key)
    try:
        # An empty password, so that OpenSSL does not ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=str(settings.key_password or ""))
    except (ssl.SSLError, OSError) as error:
        raise TLSFileError(certificate_key, _explained(certificate, key, error)) from error


def _explained(certificate: Path, key: Path | None, error: OSError) -> str:
    both = f"{certificate} and the key in {key or certificate}"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{both} do not belong together"
    return f"{both} can't be read as PEM, or key_password is wrong"


def _require(file: Path, key: Key) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise TLSFileError(key, f"{file} can't be read: {error.strerror}") from error


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
