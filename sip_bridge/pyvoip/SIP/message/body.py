"""Bodies: a session description as a dictionary (RFC 8866), anything else as it is."""

from typing import Any, Final

from sip_bridge.pyvoip.RTP import RTPProtocol, TransmitType
from sip_bridge.sip.message import SDP
from sip_bridge.sip.message import SIPMessage as CoreMessage

_PROTOCOLS: Final[dict[str, str]] = {each.value: each for each in RTPProtocol}
_DIRECTIONS: Final[dict[str, str]] = {each.value: each for each in TransmitType}
_OF_FORMATS: Final = ("rtpmap", "fmtp")


def parse_body(message: CoreMessage, content: bytes) -> dict[str, Any]:
    """The body of a message; a multipart one that holds a session description shows that, and itself as "content"."""
    if not content:
        return {}
    if message.content_type == SDP:
        return parse_raw_body(content)
    if message.content_type.startswith("multipart/") and message.session_description:
        return {**parse_raw_body(message.session_description), "content": content}
    return {"content": content}


def parse_raw_body(content: bytes) -> dict[str, Any]:
    """A session description. A line that makes no sense is left out."""
    body: dict[str, Any] = {}
    for line in content.decode("utf-8", "surrogateescape").splitlines():
        kind, equals, value = line.partition("=")
        if kind == "a":
            _attribute(body, value.strip())
        elif equals:
            _read_line(body, kind.strip(), value.strip())
    return body


def _read_line(body: dict[str, Any], kind: str, value: str) -> None:  # RFC 8866's table
    match kind:
        case "m":
            body.setdefault("m", []).append(_media(value))
        case "v":
            body["v"] = int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else value
        case "o":
            fields = ("username", "id", "version", "network_type", "address_type", "address")
            body["o"] = dict(zip(fields, value.split(), strict=False))
        case "c":
            connection = _connection(value)
            body.setdefault("c", []).append(connection)
            if "m" in body:
                body["m"][-1].setdefault("c", []).append(connection)
        case "b":
            name, _, bandwidth = value.partition(":")
            body["b"] = {"type": name, "bandwidth": bandwidth}
        case "t":
            body["t"] = dict(zip(("start", "stop"), value.split(), strict=False))
        case "r":
            body["r"] = dict(zip(("repeat", "duration", "offset1", "offset2"), value.split(), strict=False))
        case "z":
            body["z"] = {
                f"{('adjustment-time', 'offset')[i % 2]}{i // 2}": each for i, each in enumerate(value.split())
            }
        case "k":
            method, colon, key = value.partition(":")
            body["k"] = {"method": method, "key": key} if colon else {"method": method}
        case "a":
            _attribute(body, value)  # written with white space before
        case _:
            body[kind] = value


def _connection(value: str) -> dict[str, Any]:
    network, _, rest = value.partition(" ")
    kind, _, address = rest.strip().partition(" ")
    address, *numbers = address.strip().split("/")
    counts = [int(each) for each in numbers if each.isascii() and each.isdecimal() and len(each) < 10]
    ttl = counts.pop(0) if counts and kind == "IP4" else None
    return {
        "network_type": network,
        "address_type": kind,
        "address": address,
        "ttl": ttl,
        "address_count": counts[0] if counts else 1,
    }


def _media(value: str) -> dict[str, Any]:
    words = value.split()
    kind, port, protocol = (*words[:3], "", "", "")[:3]
    formats = words[3:]
    number, _, count = port.partition("/")
    return {
        "type": kind,
        "port": _small(number, 0),
        "port_count": _small(count, 1),
        "protocol": _PROTOCOLS.get(protocol, protocol),
        "methods": formats,
        "attributes": {each: {} for each in formats},
    }


def _small(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else otherwise


def _attribute(body: dict[str, Any], value: str) -> None:
    """``rtpmap`` and ``fmtp`` go to their format; the rest to the session, and once more to its media section."""
    name, colon, text = value.partition(":")
    media = body["m"][-1] if "m" in body else None
    if name in _OF_FORMATS:
        if media is not None:
            _format_attribute(media["attributes"], name, text)
        return
    read: str = text
    if name in _DIRECTIONS:
        name, read, colon = "transmit_type", _DIRECTIONS[name], ":"
    if colon:
        _section(body)[name] = read
    if media is not None:
        _section(media)[name] = read


def _section(holder: dict[str, Any]) -> dict[str, str]:
    if "a" not in holder:
        holder["a"] = {}
    found: dict[str, str] = holder["a"]
    return found


def _format_attribute(attributes: dict[str, dict[str, Any]], name: str, text: str) -> None:
    number, _, rest = text.partition(" ")
    if number not in attributes:
        return  # a format that the media line does not have
    if name == "fmtp":
        attributes[number]["fmtp"] = {"id": number, "settings": rest.split()}
        return
    encoding, slash, rest = rest.strip().partition("/")
    frequency, more, channels = rest.partition("/")
    attributes[number]["rtpmap"] = {
        "id": number,
        "name": encoding,
        "frequency": frequency if slash else None,
        "encoding": channels if more else None,
    }
