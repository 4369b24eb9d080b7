"""Files and downloads, read in a thread: bounded, ended from outside at once, and silent about secrets in a URL."""

import base64
import http.client
import io
import os
import socket
import ssl
import stat
import threading
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from sip_bridge import __version__
from sip_bridge.errors import MediaError

MAX_BYTES: Final = 1 << 30  # of a file or download: a day of MP3, six hours of WAV
MAX_REDIRECTS: Final = 5
MAX_SEEKS: Final = 16  # requests for another part of a download
CONNECT_TIMEOUT: Final = 5.0  # seconds for one address
READ_TIMEOUT: Final = 10.0  # seconds without a byte
_MAX_ADDRESSES: Final = 4  # of a host that are tried
_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
_AS_IT_IS: Final = "!$%&'()*+,-./:;=?@_~[]"  # in the path and query of a request


class SoundFile(Protocol):
    """What a decoder reads from, in its thread."""

    content_type: str | None
    is_seekable: bool

    def open(self) -> None:
        """Before anything is read; MediaError says why there is no sound."""

    def read(self, size: int, /) -> bytes:
        """Some bytes, up to ``size``; none at the end. MediaError says what went wrong."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go on reading from another place, when ``is_seekable``; returns it."""

    def tell(self) -> int:
        """Where the next byte comes from."""

    def interrupt(self) -> None:
        """From any thread: end what blocks, now and from now on."""

    def close(self) -> None:
        """Let go of what it holds."""


class LocalFile:
    """An ordinary file; anything else that a path may name would block or never end."""

    def __init__(self, path: Path) -> None:
        self.content_type: str | None = None
        self.is_seekable = True
        self._path = path
        self._file: BinaryIO = io.BytesIO()

    def open(self) -> None:
        """See `SoundFile`."""
        try:
            file = open(self._path, "rb", opener=_open_without_waiting)  # noqa: SIM115  # `close` closes it
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise MediaError(str(reason)) from error
        self._file = file
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise MediaError("not a file")
        if status.st_size > MAX_BYTES:
            raise MediaError(_too_long())

    def read(self, size: int, /) -> bytes:
        """See `SoundFile`."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise MediaError(str(error.strerror)) from error

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """See `SoundFile`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """See `SoundFile`."""
        return self._file.tell()

    def interrupt(self) -> None:
        """See `SoundFile`; a disk does not block for long."""

    def close(self) -> None:
        """See `SoundFile`."""
        self._file.close()


def _open_without_waiting(path: str, flags: int) -> int:
    """Opening a pipe that nobody writes to would hold the thread for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


class Download:
    """A GET of an http or https URL. It may be interrupted before it is opened; nothing else is safe across threads."""

    def __init__(self, url: str, *, context: ssl.SSLContext | None = None) -> None:
        self.content_type: str | None = None
        self.is_seekable = False
        self._url = url
        self._context = context
        self._lock = threading.Lock()
        self._is_interrupted = False
        self._socket: socket.socket | None = None
        self._response: http.client.HTTPResponse | None = None
        self._position = 0
        self._length: int | None = None
        self._wanted: int | None = None  # where to go on, if not at the position
        self._received = 0
        self._seeks = 0

    def open(self) -> None:
        """See `SoundFile`: connect, follow redirections, and read the head of the response."""
        url = _split(self._url)
        authorization = _authorization(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._get(url, authorization, self._wanted or 0)
            if response.status not in _REDIRECTIONS:
                self._accept(response, url)
                return
            location = response.getheader("Location", "")
            self._let_go()
            before, url = url, _split(location, base=url.geturl())
            if (url.scheme, url.netloc) != (before.scheme, before.netloc):
                authorization = _authorization(url)
        raise MediaError(f"the server moved it more than {MAX_REDIRECTS} times")

    def read(self, size: int, /) -> bytes:
        """See `SoundFile`."""
        if self._wanted is not None:
            self._reopen(self._wanted)
        if self._response is None or size <= 0:
            return b""
        try:
            data = self._response.read1(size)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MediaError(self._reason(error)) from None
        if not data and (self._response.length or 0) > 0:
            raise MediaError("the connection was cut in the middle")
        self._position += len(data)
        self._received += len(data)
        if self._received > MAX_BYTES:
            raise MediaError(_too_long())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """See `SoundFile`: the next read asks the server for the rest from there on."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._length or 0}[whence]
        self._wanted = max(base + offset, 0)
        return self._wanted

    def tell(self) -> int:
        """See `SoundFile`."""
        return self._position if self._wanted is None else self._wanted

    def interrupt(self) -> None:
        """See `SoundFile`. A name that is being looked up is waited for, by its thread only."""
        with self._lock:
            self._is_interrupted = True
            if self._socket is not None:
                _shut_down(self._socket)

    def close(self) -> None:
        """See `SoundFile`."""
        self._let_go()

    def _reopen(self, position: int) -> None:
        if position != self._position:
            self._let_go()
            self._seeks += 1
            if self._seeks > MAX_SEEKS:
                raise MediaError("a file in which a player would have to jump back and forth")
            if self._length is not None and position >= self._length:
                self._position = position
            else:
                self.open()
        self._wanted = None

    # --- one request ---

    def _get(self, url: SplitResult, authorization: str | None, begin: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"sip-bridge/{__version__}", "Accept": "audio/*, */*;q=0.5"}
        headers |= {"Accept-Encoding": "identity", "Connection": "close"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            host, port = _address(url)
            headers["Host"] = _authority(url, host)
            connection = http.client.HTTPConnection(host, port)
            connection.sock = self._connect(host, port, is_secure=url.scheme == "https")
            connection.request("GET", _target(url), headers=headers)
            self._response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._let_go()
            raise MediaError(self._reason(error)) from None  # the cause may show the URL
        return self._response

    def _connect(self, host: str, port: int, *, is_secure: bool) -> socket.socket:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure = OSError("no address")
        for family, kind, protocol, _, address in addresses[:_MAX_ADDRESSES]:
            sock = socket.socket(family, kind, protocol)
            try:
                self._watch(sock)
                sock.settimeout(CONNECT_TIMEOUT)
                sock.connect(address)
            except OSError as error:
                self._let_go()
                failure = error
            else:
                return self._secured(sock, host) if is_secure else self._patient(sock)
        raise failure

    def _secured(self, sock: socket.socket, host: str) -> socket.socket:
        context = self._context or ssl.create_default_context()
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        self._watch(secured)
        secured.do_handshake()
        return self._patient(secured)

    def _patient(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(READ_TIMEOUT)
        return sock

    def _watch(self, sock: socket.socket) -> None:
        """From here on `interrupt` reaches the socket, and `_let_go` closes it."""
        with self._lock:
            self._socket = sock
            if self._is_interrupted:
                raise OSError("stopped")

    def _let_go(self) -> None:
        with self._lock:
            sock, self._socket = self._socket, None
        if self._response is not None:
            self._response.close()
            self._response = None
        if sock is not None:
            sock.close()

    def _accept(self, response: http.client.HTTPResponse, url: SplitResult) -> None:
        begin = self._wanted or 0
        if response.status != (HTTPStatus.PARTIAL_CONTENT if begin else HTTPStatus.OK):
            self._let_go()
            raise MediaError(f"the server answers {_shown_status(response.status)}")
        if response.getheader("Content-Encoding", "identity").lower() != "identity":
            self._let_go()
            raise MediaError("the server sends it compressed, which was not asked for")
        if response.length is not None and begin + response.length > MAX_BYTES:
            self._let_go()
            raise MediaError(_too_long())
        self._url = url.geturl()  # after redirections, for further requests
        self.content_type = response.headers.get_content_type() if "Content-Type" in response.headers else None
        self._position = begin
        if not begin:
            self._length = response.length
            accepts = response.getheader("Accept-Ranges", "none").lower() == "bytes"
            self.is_seekable = accepts and self._length is not None

    def _reason(self, error: Exception) -> str:
        """What went wrong in words that show nothing of the URL."""
        if self._is_interrupted:
            return "stopped"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the server's certificate can't be trusted: {error.verify_message}"
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason
        if isinstance(error, OSError) and error.errno is not None:
            return os.strerror(error.errno)
        return "the connection was cut in the middle"


# The first class that fits wins.
_REASONS: Final = (
    (TimeoutError, "the server does not answer in time"),
    (socket.gaierror, "the name of the server is not known"),
    (ssl.SSLError, "no TLS with the server"),
    ((http.client.IncompleteRead, http.client.RemoteDisconnected), "the connection was cut in the middle"),
    (http.client.HTTPException, "the server does not speak HTTP"),
    (ValueError, "not a URL that can be fetched"),
)


def _shown_status(status: int) -> str:
    """The code and our own words for it; a server's could be anything."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _split(url: str, *, base: str = "") -> SplitResult:
    """The parts of a URL that `Download` can get; MediaError for another one, that does not show it."""
    try:
        parts = urlsplit(urljoin(base, url) if base else url)
        is_known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_known = False
    if not is_known:
        raise MediaError("the server moved it to no http URL" if base else "not a URL that can be fetched")
    return parts


def _too_long() -> str:
    return f"longer than {MAX_BYTES >> 20} MiB"


def _shut_down(sock: socket.socket) -> None:
    """Wakes whoever waits for it; the socket's own thread closes it."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's, which is not for two threads
    except OSError:
        return  # not connected, or already over


def _address(url: SplitResult) -> tuple[str, int]:
    """Host and port; ValueError for a host that is none."""
    host = url.hostname or ""
    return (host if host.isascii() else host.encode("idna").decode()), url.port or (
        443 if url.scheme == "https" else 80
    )


def _authority(url: SplitResult, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if url.port is None else f"{shown}:{url.port}"


def _target(url: SplitResult) -> str:
    """Path and query as they may stand in a request: people write spaces and umlauts."""
    path = quote(url.path or "/", safe=_AS_IT_IS)
    return f"{path}?{quote(url.query, safe=_AS_IT_IS)}" if url.query else path


def _authorization(url: SplitResult) -> str | None:
    """Basic, from the user information of a URL."""
    if url.username is None:
        return None
    credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"
