"""TransportMode: how SIP messages travel."""

import socket
import ssl
from enum import Enum
from typing import Self


class TransportMode(Enum):
    """UDP, TCP or TLS; ``socket_type`` and ``tls_mode`` are the standard library's constants."""

    socket_type: socket.SocketKind
    tls_mode: int | None

    def __new__(
        cls, value: str, socket_type: socket.SocketKind = socket.SOCK_DGRAM, tls_mode: int | None = None
    ) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.socket_type = socket_type
        member.tls_mode = tls_mode
        return member

    def __str__(self) -> str:
        return str(self.value)

    UDP = "UDP", socket.SOCK_DGRAM, None
    TCP = "TCP", socket.SOCK_STREAM, None
    TLS = "TLS", socket.SOCK_STREAM, ssl.PROTOCOL_TLS
