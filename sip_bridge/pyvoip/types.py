"""Names for the types that the API passes around."""

import socket
import ssl
from collections.abc import Callable

URI_HEADER = dict[str, str | int]
SOCKETS = socket.socket | ssl.SSLSocket
KEY_PASSWORD = bytes | bytearray | str | Callable[[], bytes] | Callable[[], bytearray] | Callable[[], str] | None
CREDENTIALS_DICT = dict[str | None, dict[str | None, dict[str | None, dict[str, str]]]]
