"""Session descriptions (RFC 8866): read tolerantly, written exactly.

``parse(format(x)) == x``; a line that makes no sense costs only itself.
"""

from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import NegotiationError

MAX_BYTES: Final = 64 << 10
MAX_LINES: Final = 1000
MAX_FORMATS: Final = 32  # of one m= line; further ones are not looked at
MAX_MEDIA: Final = 32  # further m= lines are not looked at, and so not answered

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
        return [value or "" for key, value in self.attributes if key == name]

    @property
    def direction(self) -> str | None:
        """``sendrecv``, ``sendonly``, ``recvonly`` or ``inactive`` where it is said."""
        return next((key for key, _ in self.attributes if key in DIRECTIONS), None)


DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDescription:
    """A whole description."""

    session_id: int
    version: int
    origin_host: str
    host: str | None
    media: tuple[MediaDescription, ...]
    username: str = "-"
    name: str = "-"
    attributes: Attributes = ()

    @property
    def direction(self) -> str:
        """What holds for media that don't say it themselves."""
        return next((key for key, _ in self.attributes if key in DIRECTIONS), "sendrecv")

    @classmethod
    def parse(cls, body: bytes) -> "SessionDescription":
        """Read a description; NegotiationError when it is none at all."""
        if len(body) > MAX_BYTES:
            raise NegotiationError("a session description that is too long")
        lines = body.decode("utf-8", "replace").splitlines()
        if not lines or lines[0].strip() != "v=0" or len(lines) > MAX_LINES:
            raise NegotiationError("not a session description")
        sections: list[list[tuple[str, str]]] = [[]]
        for line in lines[1:]:
            key, equals, value = line.strip().partition("=")
            if not equals or len(key) != 1:
                continue
            if key == "m":
                sections.append([])
            sections[-1].append((key, value))
        head = dict(reversed(sections[0]))
        username, session_id, version, origin_host = _origin(head.get("o", ""))
        media = (_media(section) for section in sections[1 : MAX_MEDIA + 1])
        return cls(
            username=username,
            session_id=session_id,
            version=version,
            origin_host=origin_host,
            name=head.get("s", "-"),
            host=_connection(head.get("c")),
            attributes=_attributes(sections[0]),
            media=tuple(media),
        )

    def format(self) -> bytes:
        """The inverse of `parse`."""
        lines = [
            "v=0",
            f"o={self.username} {self.session_id} {self.version} IN {_family(self.origin_host)} {self.origin_host}",
            f"s={self.name}",
            *([f"c=IN {_family(self.host)} {self.host}"] if self.host else []),
            "t=0 0",
            *_attribute_lines(self.attributes),
        ]
        for media in self.media:
            lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}")
            if media.host:
                lines.append(f"c=IN {_family(media.host)} {media.host}")
            lines += _attribute_lines(media.attributes)
        return ("\r\n".join(lines) + "\r\n").encode()


def _family(host: str) -> str:
    return "IP6" if ":" in host else "IP4"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


def _origin(text: str) -> tuple[str, int, int, str]:
    words = text.split()
    if len(words) != 6:
        return "-", 0, 0, "0.0.0.0"  # noqa: S104  # nobody acts on the origin's address
    return words[0], _number(words[1]), _number(words[2]), words[5]


def _connection(text: str | None) -> str | None:
    words = (text or "").split()
    return words[2].split("/")[0] or None if len(words) == 3 and words[0].upper() == "IN" else None


def _attributes(section: list[tuple[str, str]]) -> Attributes:
    found: list[tuple[str, str | None]] = []
    for key, value in section:
        if key == "a":
            name, colon, rest = value.partition(":")
            found.append((name, rest if colon else None))
    return tuple(found)


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]


def _media(section: list[tuple[str, str]]) -> MediaDescription:
    words = section[0][1].split()
    kind, port, protocol = (*words[:3], "", "", "")[:3]
    return MediaDescription(
        kind=kind or "unknown",
        port=min(_number(port.split("/")[0]), 65535),
        protocol=protocol or "unknown",
        formats=tuple(words[3 : 3 + MAX_FORMATS]) or ("0",),
        host=next((_connection(value) for key, value in section if key == "c"), None),
        attributes=_attributes(section),
    )
