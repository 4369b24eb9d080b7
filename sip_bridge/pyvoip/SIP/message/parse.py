"""Header values as the dictionaries, lists, numbers and strings of this API. An odd value never spoils the others."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.pyvoip.types import URI_HEADER
from sip_bridge.sip.fields import MAX_DIGITS, find_outside_quotes, split_outside, unquoted
from sip_bridge.sip.headers import COMPACT, KEYS, key_of
from sip_bridge.sip.parser import split_message

_DEFAULT_PORTS: Final = {"sips": 5061}
_SPELLED: Final = {key: spelled for spelled, key in reversed(KEYS.items()) if len(spelled) > 1}
COMPACT_KEY: Final = {compact: _SPELLED.get(key, key.title()) for compact, key in COMPACT.items()}
# Python 3.11.2 (Debian 12) reads a possessive quantifier on a group otherwise, so only single characters have one here.
_PARAMETER: Final = re.compile(
    r"""(?<![^\s,])  # never from the middle of a word: a long one costs no more than its length
    (?:([A-Za-z0-9-]++)[ \t]++(?=[^\s=,]))?  # the scheme, before the first parameter of each challenge
    ([^\s=,]++)[ \t]*+=[ \t]*+("[^"\\]*+(?:\\.[^"\\]*+)*"|[^,\s]*+)""",
    re.VERBOSE,
)
_USUAL: Final = re.compile(
    r"""(?:"([^"\\]*+)"[ \t]*+|([A-Za-z0-9_.\- ]*+))?
    <(sips?+):(?:([^:@;?<>\s]++)@)?([A-Za-z0-9.\-]++)(?::([0-9]{1,4}+))?(?:;[^>?]*+)?>
    (?:;tag=([^;=\s]++))?""",
    re.VERBOSE,
)
_FIRST_WORD: Final = re.compile(r"[A-Za-z0-9-]++")


class Headers(dict[str, Any]):
    """A dictionary whose names are shown as they came and found whatever their case."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}  # look-up key to the name as it came

    def name_of(self, name: object) -> str | None:
        """A header's name as it came."""
        return self.names.get(key_of(name)) if isinstance(name, str) else None

    def __missing__(self, name: str) -> Any:
        found = self.name_of(name)
        if found is None or not dict.__contains__(self, found):
            raise KeyError(name)
        return self[found]

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or dict.__contains__(self, self.name_of(name))

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, or ``default``."""
        try:
            return self[name]
        except KeyError:
            return default


def parse_raw_headers(raw: bytes) -> Headers:
    """The headers of a message that was found to be one."""
    headers = Headers()
    names = headers.names
    usual = KEYS.get
    for line in _lines(raw):
        name, _, value = line.partition(":")
        key = usual(name)
        if key is None:
            name = name.rstrip()
            key = key_of(name)
        value = value.strip()
        read = _READERS.get(key, _text)
        if key not in names:
            if len(name) == 1:
                name = COMPACT_KEY.get(name.lower(), name)
            names[key] = name
            headers[name] = read(value)
        elif key in _REPEATED:
            headers[names[key]] = _REPEATED[key](headers[names[key]], read(value))
        elif read is _text:
            headers[names[key]] = f"{headers[names[key]]}, {value}"
    if "via" not in names:
        names["via"] = "Via"
        headers["Via"] = []
    return headers


def _lines(raw: bytes) -> list[str]:
    """The header lines, folded ones joined."""
    head = split_message(raw)[0].decode("utf-8", "surrogateescape")
    if "\r\n " in head or "\r\n\t" in head:
        head = head.replace("\r\n ", " ").replace("\r\n\t", " ")
    return head.split("\r\n")[1:]


def parse_header(header: str, data: str) -> Any:  # what a header holds
    """The value of one header."""
    return _READERS.get(key_of(header), _text)(data.strip())


# --- addresses ---


def get_uri_header(data: str) -> URI_HEADER:
    """``"Display" <scheme:user:password@host:port;params>;tag=...``, or a URI without brackets."""
    usual = _USUAL.fullmatch(data)
    if usual is None:
        return _unusual_uri_header(data)
    quoted, name, scheme, user, host, port, tag = usual.groups("")
    return {
        "raw": data,
        "tag": tag,
        "uri": f"{scheme}:{user}{'@' if user else ''}{host}{':' if port else ''}{port}",
        "uri-type": scheme,
        "user": user,
        "password": "",
        "host": host,
        "port": int(port) if port else _DEFAULT_PORTS.get(scheme, 5060),
        "display-name": quoted or name.rstrip(),
    }


def _unusual_uri_header(data: str) -> URI_HEADER:
    opening = _bracket(data)
    if opening < 0:
        display, (uri, _, tail) = "", data.partition(";")
    else:
        display = data[:opening].strip()
        uri, _, tail = data[opening + 1 :].partition(">")
        tail = tail.lstrip().removeprefix(";")
    scheme, _, rest = uri.strip().partition(":")
    return {
        "raw": data,
        "tag": _tag(tail),
        **_uri(scheme, rest),
        "display-name": unquoted(display) if display else "",
    }


def _bracket(data: str) -> int:
    if '"' not in data:
        return data.find("<")
    try:
        return find_outside_quotes(data, "<")
    except RemoteProtocolError:
        return data.rfind("<")


def _tag(tail: str) -> str:
    for item in tail.split(";"):
        name, _, value = item.partition("=")
        if name.strip().lower() == "tag":
            return value.strip()
    return ""


def _uri(scheme: str, rest: str) -> URI_HEADER:
    scheme = scheme.lower()
    if scheme not in ("sip", "sips"):
        number = rest.partition(";")[0]
        return {
            "uri": f"{scheme}:{number}" if rest else scheme,
            "uri-type": scheme if rest else "",
            "user": number,
            "password": "",
            "host": "",
            "port": _DEFAULT_PORTS.get(scheme, 5060),
        }
    userinfo, at, hostport = rest.rpartition("@")
    hostport = hostport.partition(";")[0].partition("?")[0]
    user, _, password = userinfo.partition(":")
    host, port = _host_port(hostport)
    return {
        "uri": f"{scheme}:{user}{at}{hostport}",
        "uri-type": scheme,
        "user": user,
        "password": password,
        "host": host,
        "port": _DEFAULT_PORTS.get(scheme, 5060) if port is None else port,
    }


def _host_port(text: str) -> tuple[str, int | None]:
    """Host and port; an IPv6 address without its brackets."""
    text = text.strip()
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    port = port.strip()
    return host.strip(), int(port) if _is_number(port) and int(port) <= 65535 else None


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS


def _vias(data: str) -> list[dict[str, Any]]:
    return [_via(item) for item in _items(data)]


def _via(data: str) -> dict[str, Any]:
    """``SIP/2.0/UDP host:port;name=value``; parameters are keys beside ``type`` and ``address``."""
    head, *params = data.split(";") if '"' not in data else _split(data, ";")
    protocol, _, sent_by = head.strip().replace(" /", "/").replace("/ ", "/").partition(" ")
    host, port = _host_port(sent_by)
    via: dict[str, Any] = {
        "type": protocol,
        "address": (host, (5061 if protocol.upper().endswith("/TLS") else 5060) if port is None else port),
    }
    for item in params:
        name, equals, value = item.partition("=")
        value = unquoted(value.strip())
        via[name.strip()] = (int(value) if _is_port(name, value) else value) if equals else None
    return via


def _is_port(name: str, value: str) -> bool:
    """All digits are a number, but for the branch, which is a name."""
    return _is_number(value) and name.strip().lower() != "branch"


def _split(data: str, separator: str) -> list[str]:
    try:
        return split_outside(data, separator)
    except RemoteProtocolError:
        return data.split(separator)


def _items(data: str) -> list[str]:
    return [item for each in _split(data, ",") if (item := each.strip())]


def _first_address(data: str) -> URI_HEADER:
    return get_uri_header(_split(data, ",")[0] if "," in data else data)


# --- other values ---


def _text(data: str) -> str | int:
    return int(data) if _is_number(data) else data


def _cseq(data: str) -> dict[str, Any]:
    number, _, method = data.partition(" ")
    return {"check": int(number) if _is_number(number) else number, "method": method.strip()}


def _target_dialog(data: str) -> dict[str, Any]:
    call_id, *params = data.split(";")
    return {"callid": call_id.strip(), **_params(params)}


def _refer_sub(data: str) -> dict[str, Any]:
    value, *params = data.split(";")
    return {"value": value.strip().lower() == "true", **_params(params)}


def _params(items: list[str]) -> dict[str, str | None]:
    pairs = (item.partition("=") for item in items)
    return {name.strip(): value.strip() if equals else None for name, equals, value in pairs}


def _authentication(header: str) -> Callable[[str], dict[str, Any]]:
    def read(data: str) -> dict[str, Any]:
        return parse_authentication(header, data)

    return read


def parse_authentication(header: str, data: str) -> dict[str, Any]:
    """The first challenge or credentials in a header's value; quotes stripped, ``qop`` a list, ``userhash`` a bool."""
    scheme = _FIRST_WORD.match(data)
    found: dict[str, Any] = {"header": header, "method": scheme[0] if scheme else ""}
    for each in _PARAMETER.finditer(data):
        if each[1] is not None and each.start() > 0:
            break  # another challenge on the same line
        name, value = each[2], unquoted(each[3])
        match name.lower():
            case "qop":
                found["qop"] = [item.strip() for item in value.split(",")]
            case "userhash":
                found["userhash"] = value.lower() == "true"
            case _:
                found[name] = value
    return found


def _stronger(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Of two challenges the one to answer (RFC 8760 §2.4: the first one that is known)."""
    return one if _is_known(one) or not _is_known(other) else other


def _is_known(challenge: Mapping[str, Any]) -> bool:
    algorithm = str(challenge.get("algorithm", "MD5")).upper().removesuffix("-SESS")
    return challenge["method"].lower() == "digest" and algorithm in ("MD5", "SHA-256", "SHA-512-256")


_AUTHENTICATION: Final = {
    name.lower(): _authentication(name)
    for name in ("WWW-Authenticate", "Authorization", "Proxy-Authenticate", "Proxy-Authorization")
}
_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "via": _vias,
    "from": get_uri_header,
    "to": get_uri_header,
    "contact": _first_address,
    "refer-to": get_uri_header,
    "cseq": _cseq,
    "call-id": str,
    "allow": _items,
    "supported": _items,
    "require": _items,
    "target-dialog": _target_dialog,
    "refer-sub": _refer_sub,
    **_AUTHENTICATION,
}
_REPEATED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    **dict.fromkeys(("via", "allow", "supported", "require"), lambda one, other: one + other),
    **dict.fromkeys(_AUTHENTICATION, _stronger),
}
