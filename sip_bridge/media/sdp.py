"""Session descriptions (RFC 8866): read tolerantly, written exactly.

``parse(format(x)) == x``; a line that makes no sense costs only itself.
"""

from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import NegotiationError

MAX_BYTES: Final = 64 << 10
MAX_LINES: Final = 1000
MAX_FORMATS: Final = 128  # of one m= line, as many as there are payload types; further ones are not looked at
MAX_MEDIA: Final = 32  # a description with more sections is refused: each of them would want its answer
MAX_QUOTED: Final = 200  # characters of a peer's description in a message of ours
_SECRETS: Final = ("crypto", "key-mgmt", "ice-pwd")  # attributes whose values are keys


class Concealed(str):
    """A value that no log or traceback shows: its repr is ``***``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


Attributes = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaDescription:
    """One ``m=`` section; ``host`` is its own ``c=`` address, None when the session's holds."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    host: str | None = None
    attributes: Attributes = ()

    def values(self, name: str) -> list[str]:
        """The values of every attribute of that name, "" for a flag."""
        return [(value or "").strip() for key, value in self.attributes if key == name]

    @property
    def direction(self) -> str | None:
        """``sendrecv``, ``sendonly``, ``recvonly`` or ``inactive`` where it is said."""
        return next((key for key, _ in self.attributes if key in DIRECTIONS), None)


DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDescription:
    """A whole description; ``timing`` is its ``t=`` line, which an answer repeats (RFC 3264 §6)."""

    session_id: int
    version: int
    origin_host: str
    host: str | None
    media: tuple[MediaDescription, ...]
    username: str = "-"
    name: str = "-"
    timing: str = "0 0"
    attributes: Attributes = ()

    @property
    def direction(self) -> str:
        """What holds for media that don't say it themselves."""
        return next((key for key, _ in self.attributes if key in DIRECTIONS), "sendrecv")

    @classmethod
    def parse(cls, body: bytes) -> "SessionDescription":
        """Read a description; NegotiationError when it is none at all."""
        head, *sections = _sections(body)
        username, session_id, version, origin_host = _origin(_first(head, "o"))
        return cls(
            username=username,
            session_id=session_id,
            version=version,
            origin_host=origin_host,
            name=_first(head, "s") or "-",
            timing=_timing(_first(head, "t")),
            host=_connection(head),
            attributes=_attributes(head),
            media=tuple(_media(section) for section in sections),
        )

    def format(self) -> bytes:
        """The inverse of `parse`."""
        lines = [
            "v=0",
            f"o={self.username} {self.session_id} {self.version} IN {_family(self.origin_host)} {self.origin_host}",
            f"s={self.name}",
            *([f"c=IN {_family(self.host)} {self.host}"] if self.host else []),
            f"t={self.timing}",
            *_attribute_lines(self.attributes),
        ]
        for media in self.media:
            lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}")
            if media.host:
                lines.append(f"c=IN {_family(media.host)} {media.host}")
            lines += _attribute_lines(media.attributes)
        return ("\r\n".join(lines) + "\r\n").encode()

    def summary(self) -> str:
        """Its media in one line that is safe to print."""
        lines = (f"{media.kind} {media.protocol} {' '.join(media.formats)}" for media in self.media if media.port)
        text = ", ".join(lines) or "nothing"
        text = "".join(c if c.isprintable() else "?" for c in text[: MAX_QUOTED + 1])
        return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."


_Lines = list[tuple[str, str]]


def _sections(body: bytes) -> list[_Lines]:
    """The lines of the session, and of each ``m=`` section. A line ends with CR LF, LF or CR (RFC 8866 §5)."""
    if len(body) > MAX_BYTES:
        raise NegotiationError("a session description that is too long")
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")
    if len(lines) > MAX_LINES:
        raise NegotiationError("a session description of too many lines")
    sections: list[_Lines] = [[]]
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if not equals or len(key) != 1:
            continue
        if key == "m":
            sections.append([])
        sections[-1].append((key, value))
    version = _first(sections[0], "v", "0" if len(sections) > 1 else "")
    if version.strip() != "0":
        raise NegotiationError("not a session description")
    if len(sections) > MAX_MEDIA + 1:
        raise NegotiationError(f"a session description of more than {MAX_MEDIA} media")
    return sections


def _first(lines: _Lines, key: str, default: str = "") -> str:
    return next((value for each, value in lines if each == key), default)


def _family(host: str) -> str:
    return "IP6" if ":" in host else "IP4"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


def _port(text: str) -> int:
    """``5004`` or ``5004/2``, the first of two; 0, with which media are refused, for what is none."""
    port = _number(text.partition("/")[0])
    return port if port <= 65535 else 0


def _origin(text: str) -> tuple[str, int, int, str]:
    words = text.split()
    if len(words) != 6:
        return "-", 0, 0, "0.0.0.0"  # noqa: S104  # nobody acts on the origin's address
    return words[0], _number(words[1]), _number(words[2]), words[5]


def _timing(text: str) -> str:
    words = text.split()
    return f"{_number(words[0])} {_number(words[1])}" if len(words) == 2 else "0 0"


def _connection(lines: _Lines) -> str | None:
    """The address of the first ``c=`` line that makes sense; of a multicast group, without how far it goes."""
    for key, value in lines:
        words = value.split()
        if key == "c" and len(words) == 3 and words[0].upper() == "IN":
            host = words[2].split("/")[0].strip("[]")
            if host:
                return host
    return None


def _attributes(section: _Lines) -> Attributes:
    found: list[tuple[str, str | None]] = []
    for key, value in section:
        if key == "a":
            name, colon, rest = value.partition(":")
            said = rest if colon else None
            found.append((name, Concealed(said) if said is not None and name in _SECRETS else said))
    return tuple(found)


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]


def _media(section: _Lines) -> MediaDescription:
    words = section[0][1].split()
    kind, port, protocol = (*words[:3], "", "", "")[:3]
    return MediaDescription(
        kind=kind or "unknown",
        port=_port(port),
        protocol=protocol or "unknown",
        formats=tuple(words[3 : 3 + MAX_FORMATS]) or ("0",),
        host=_connection(section),
        attributes=_attributes(section),
    )
