"""How much a message may hold: every bound of the parser, in one frozen value that the configuration can change."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A request beyond a bound gets the status named there, a response is dropped. Sizes are in bytes as received."""

    message: int = 65536  # 513; RFC 3261 §18.1.1
    head: int = 16384  # start line and headers; 513
    line: int = 8192  # characters of one header, folded lines joined; 400
    headers: int = 128  # header lines; 400
    uri: int = 2048  # characters of the Request-URI; 414
    vias: int = 70  # as many hops as Max-Forwards allows (RFC 3261 §8.1.1.6); 400
    parts: int = 16  # parts of one multipart body: the others are not looked at
    depth: int = 3  # multipart within multipart: what lies deeper is not looked at


LIMITS: Final = Limits()
