"""Typed header values. Each ``parse`` reads text once, at the edge; ``format`` is its inverse.

Scanners on ``str.find`` and ``partition``: they run in linear time and can't backtrack.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from sip_bridge.errors import LocalProtocolError, RemoteProtocolError
from sip_bridge.sip.uri import SIPURI, Params, format_host_port, parse_host_port

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_BARE_VALUE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\[\]:]+")  # a token or a host
_SPACE = re.compile(r"[\x00-\x20\x7f]")
_NOT_IN_URI = re.compile(r'[\x00-\x20<>"\x7f]')
# What nearly everybody writes is read by these in one step, anything else by the scanners below; both read the same.
# They can't backtrack far: what repeats is possessive or begins with a character of its own. Groups are not possessive,
# since Python before 3.11.5 takes those wrongly (Debian 12 has 3.11.2).
BARE: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"  # a token (RFC 3261 §25.1)
USUAL_ADDRESS: Final = rf"""
    (?: "([^"\\\n]*+)"[ \t]*+ | ([A-Za-z0-9\-.!%*_+`'~ \t]*+) )  # display name
    <([A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20<>"\x7f]++)>
    (?:;tag=({BARE}))?
"""
USUAL_VIA: Final = rf"""
    SIP/2\.0/([A-Z]++)[ ]([A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?)(?::([0-9]{{1,4}}+))?
    ( (?:;(?!(?i:branch)){BARE}(?:={BARE})?){{0,16}}
      (?:;branch=({BARE}))?
      (?:;(?!(?i:branch)){BARE}(?:={BARE})?){{0,16}} )
"""
_USUAL_ADDRESS: Final = re.compile(USUAL_ADDRESS, re.VERBOSE)
_USUAL_VIA: Final = re.compile(USUAL_VIA, re.VERBOSE)
_QUOTED: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'
_OUTSIDE_QUOTES: Final = {c: re.compile(rf'(?:[^{c}"]++|{_QUOTED})*', re.DOTALL) for c in ",<"}
_OUTSIDE: Final = {c: re.compile(rf'(?:[^{c}"<]++|{_QUOTED}|<[^>]*+>)*', re.DOTALL) for c in ",;"}
COOKIE: Final = "z9hG4bK"  # begins every branch since RFC 3261 (§8.1.1.7)
MAX_CSEQ: Final = 2**31 - 1  # RFC 3261 §8.1.1.5
MAX_DIGITS: Final = 20  # of any number: what a peer wrote never becomes a huge int


def is_token(text: str) -> bool:
    """RFC 3261 §25.1 ``token``: methods, header names, parameter names."""
    return _TOKEN.fullmatch(text) is not None


def is_word(text: str) -> bool:
    """Whether text has no white space and no control characters (Call-ID, tags)."""
    return (text.isprintable() and " " not in text) or _SPACE.search(text) is None


def is_uri_text(text: str) -> bool:
    """Whether text may stand where a URI is due."""
    return bool(text) and _NOT_IN_URI.search(text) is None


def check_value(text: str, what: str) -> str:
    """A header value from this side: CR, LF and NUL would forge headers, so they are refused."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise LocalProtocolError(f"{what} may not contain CR, LF or NUL")
    return text


def quoted(text: str) -> str:
    """A quoted-string (RFC 3261 §25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """The content of a quoted-string; other text as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


def find_outside(text: str, separator: str, start: int = 0) -> int:
    """The index of the first ``separator`` (a comma or semicolon) that stands outside "..." and <...>, or -1."""
    return _find(_OUTSIDE[separator], text, separator, start)


def find_outside_quotes(text: str, wanted: str, start: int = 0) -> int:
    """The index of ``wanted`` (a comma or <) outside quoted strings, or -1."""
    return _find(_OUTSIDE_QUOTES[wanted], text, wanted, start)


def _find(before: re.Pattern[str], text: str, wanted: str, start: int) -> int:
    found = before.match(text, start)
    end = found.end() if found else start
    if end == len(text):
        return -1
    if text[end] != wanted:
        raise RemoteProtocolError(f"unbalanced {text[end]}")
    return end


def split_outside(text: str, separator: str) -> list[str]:
    """Split at each ``separator`` outside "..." and <...>; items are stripped."""
    if '"' not in text and "<" not in text:
        return [item.strip() for item in text.split(separator)]
    items, start = [], 0
    while (end := find_outside(text, separator, start)) >= 0:
        items.append(text[start:end].strip())
        start = end + 1
    items.append(text[start:].strip())
    return items


def split_leniently(lines: Iterable[str], *, limit: int) -> list[str]:
    """The first elements of a comma-separated header that only informs: a line that can't be split is passed over."""
    items: list[str] = []
    for line in lines:
        try:
            items += [item for item in split_outside(line, ",") if item]
        except RemoteProtocolError:
            continue
    return items[:limit]


def partition_outside(text: str, separator: str) -> tuple[str, str]:
    """The first item, stripped, and what follows the separator, as `split_outside` would find them."""
    end = find_outside(text, separator) if separator in text else -1
    return (text.strip(), "") if end < 0 else (text[:end].strip(), text[end + 1 :].strip())


def parse_params(text: str) -> Params:
    """``;name=value;flag`` with its leading semicolon, quoted values unquoted."""
    params = []
    for item in split_outside(text, ";")[1:]:
        name, equals, value = item.partition("=")
        name = name.strip()
        if not is_token(name):
            raise RemoteProtocolError(f"not a parameter: {item[:80]!r}")
        params.append((name, unquoted(value.strip()) if equals else None))
    return tuple(params)


def _usual_param(item: str) -> tuple[str, str | None]:
    name, equals, value = item.partition("=")
    return name, value if equals else None


def format_params(params: Params) -> str:
    """The inverse of `parse_params`."""
    return "".join(f";{name}" if value is None else f";{name}={_param_value(value)}" for name, value in params)


def _param_value(value: str) -> str:
    return value if _BARE_VALUE.fullmatch(value) else quoted(value)


def get_param(params: Params, name: str) -> str | None:
    """A parameter's value, "" when it has none, None when it is absent."""
    for key, value in params:
        if key == name or key.lower() == name:
            return value or ""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """``"Display" <uri>;params`` or ``uri;params`` (From, To, Contact, Route, ...); ``uri`` is kept as written."""

    uri: str
    display_name: str | None = None
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """One address; RemoteProtocolError when it is none."""
        usual = _USUAL_ADDRESS.fullmatch(text)
        if usual is not None:
            quoted_name, name, uri, tag = usual.groups()
            display_name = quoted_name if quoted_name is not None else name.strip() or None
            return cls(uri=uri, display_name=display_name, params=(("tag", tag),) if tag else ())
        opening = find_outside_quotes(text, "<")
        if opening < 0:
            return cls._parse_addr_spec(text)
        closing = text.find(">", opening)
        if closing < 0:
            raise RemoteProtocolError("unbalanced <")
        display = text[:opening].strip()
        tail = text[closing + 1 :].strip()
        if tail and not tail.startswith(";"):
            raise RemoteProtocolError(f"text after >: {tail[:80]!r}")
        if display and not display.startswith('"') and not all(is_token(word) for word in display.split()):
            _check_lenient_display(display)
        uri = text[opening + 1 : closing]
        _check_uri_text(uri)
        return cls(uri=uri, display_name=unquoted(display) if display else None, params=parse_params(tail))

    @classmethod
    def _parse_addr_spec(cls, text: str) -> "NameAddr":
        """Without <>, parameters belong to the header (RFC 3261 §20.10), and , ; ? may not stand in the URI."""
        uri, semicolon, rest = text.partition(";")
        uri = uri.strip()
        _check_uri_text(uri)
        if "?" in uri or "," in uri:
            raise RemoteProtocolError(f"a URI with ? or , needs <>: {uri[:80]!r}")
        return cls(uri=uri, params=parse_params(semicolon + rest) if semicolon else ())

    def format(self) -> str:
        """The inverse of `parse`."""
        display = f"{quoted(self.display_name)} " if self.display_name is not None else ""
        return f"{display}<{self.uri}>{format_params(self.params)}"

    def param(self, name: str) -> str | None:
        """A header parameter (not a URI parameter)."""
        return get_param(self.params, name)

    @property
    def tag(self) -> str | None:
        """The tag of From and To."""
        return get_param(self.params, "tag")

    @property
    def sip_uri(self) -> SIPURI:
        """The URI parsed; RemoteProtocolError(416) when it is of another scheme."""
        return SIPURI.parse(self.uri)

    def with_tag(self, tag: str) -> "NameAddr":
        """The same address with this tag."""
        others = tuple(pair for pair in self.params if pair[0].lower() != "tag")
        return replace(self, params=(*others, ("tag", tag)))


def _check_lenient_display(display: str) -> None:
    """Unquoted names with dots, UTF-8 and the like are common and harmless; separators that change meaning are not."""
    if any(c in display for c in '<>@;,"'):
        raise RemoteProtocolError(f"display name needs quotes: {display[:80]!r}")


def _check_uri_text(uri: str) -> None:
    if ":" not in uri or not is_uri_text(uri):
        raise RemoteProtocolError(f"not a URI: {uri[:80]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """``SIP/2.0/UDP host:port;branch=...`` (RFC 3261 §20.42)."""

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> "Via":
        """One via-parm."""
        usual = _USUAL_VIA.fullmatch(text)
        if usual is not None:
            transport, host, port, rest, _ = usual.groups()
            params = tuple(_usual_param(item) for item in rest.split(";")[1:])
            return cls(transport=transport, host=host.lower(), port=int(port) if port else None, params=params)
        protocol, _, rest = text.partition(";")
        words = protocol.replace("/", " / ").split()
        if len(words) != 6 or words[1] != "/" or words[3] != "/" or words[0].upper() != "SIP" or words[2] != "2.0":
            words = _glue_sent_by(words)
        transport, sent_by = words[4], words[5]
        if not is_token(transport):
            raise RemoteProtocolError(f"not a Via: {text[:80]!r}")
        host, port = parse_host_port(sent_by)
        return cls(
            transport=transport.upper(), host=host, port=port, params=parse_params(";" + rest) if rest.strip() else ()
        )

    def format(self) -> str:
        """The inverse of `parse`."""
        return f"SIP/2.0/{self.transport} {format_host_port(self.host, self.port)}{format_params(self.params)}"

    @property
    def branch(self) -> str | None:
        """The transaction's name."""
        return get_param(self.params, "branch")

    @property
    def sent_by(self) -> tuple[str, int]:
        """Host and port, with the transport's default port."""
        return self.host, self.port or default_port(self.transport)

    @property
    def received(self) -> str | None:
        """The address that the next hop saw, without brackets (RFC 3261 §18.2.1, RFC 5118 §4.5)."""
        value = get_param(self.params, "received")
        return value.removeprefix("[").removesuffix("]") if value else None

    @property
    def rport(self) -> int | None:
        """The port that the next hop saw (RFC 3581 §4); None when it says none."""
        value = get_param(self.params, "rport") or ""
        return int(value) if value.isdecimal() and value.isascii() and len(value) <= 5 else None

    def received_from(self, host: str, port: int) -> "Via":
        """The top Via as a server keeps it: ``received`` (RFC 3261 §18.2.1) and ``rport`` (RFC 3581 §4)."""
        wants_rport = get_param(self.params, "rport") is not None
        if self.host == host and not wants_rport:
            return self
        kept = [(name, value) for name, value in self.params if name.lower() not in ("received", "rport")]
        added: list[tuple[str, str | None]] = [("rport", str(port))] if wants_rport else []
        return replace(self, params=(*kept, ("received", host), *added))


def default_port(transport: str) -> int:
    """Where SIP listens unless said otherwise (RFC 3261 §19.1.2)."""
    return 5061 if transport == "TLS" else 5060


def _glue_sent_by(words: list[str]) -> list[str]:
    """White space is legal around the slashes and around the colon of sent-by; anything else is malformed."""
    if len(words) > 6 and words[1] == "/" and words[3] == "/" and words[0].upper() == "SIP" and words[2] == "2.0":
        glued = "".join(words[5:])
        if ":" in glued:
            return [*words[:5], glued]
    raise RemoteProtocolError(f"not a Via: {' '.join(words)[:80]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CSeq:
    """``314159 INVITE`` (RFC 3261 §20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        """Number and method; RemoteProtocolError when the number is above 2**31 - 1."""
        digits, method = (*text.split(maxsplit=1), "", "")[:2]
        method = method.strip()
        if not (digits.isdecimal() and digits.isascii() and len(digits) <= MAX_DIGITS) or not is_token(method):
            raise RemoteProtocolError(f"not a CSeq: {text[:80]!r}")
        number = int(digits)
        if number > MAX_CSEQ:
            raise RemoteProtocolError(f"CSeq above 2**31 - 1: {digits}")
        return cls(number=number, method=method)

    def format(self) -> str:
        """The inverse of `parse`."""
        return f"{self.number} {self.method}"
