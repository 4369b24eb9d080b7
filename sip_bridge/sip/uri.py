"""SIP, SIPS and other URIs (RFC 3261 §19.1, §25.1; RFC 3966)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, unquote

from sip_bridge.errors import RemoteProtocolError

Params = tuple[tuple[str, str | None], ...]  # in order; None for a parameter without "="

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?")  # or an IPv4 address
# RFC 3261 §25.1: what stands unescaped beside the unreserved characters
_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_PARAM_SAFE: Final = "-_.!~*'()[]/:&+$"
_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")
MAX_IPV6: Final = 45  # characters of an IPv6 address, the longest with an IPv4 part
_COUNTS_ALONE: Final = frozenset({"user", "ttl", "method", "maddr", "transport"})  # RFC 3261 §19.1.4
_DECISIVE_PARAMS: Final = frozenset({"user", "ttl", "method", "maddr", "transport"})  # §19.1.4
_HEADER_SAFE: Final = "-_.!~*'()[]/?:+$"


@dataclass(frozen=True, slots=True, kw_only=True)
class SIPURI:
    """``sip:user:password@host:port;params?headers``; user, password and values are unescaped, host is lower-case."""

    scheme: str = "sip"
    user: str | None = None
    password: str | None = None
    host: str
    port: int | None = None
    params: Params = ()
    headers: Params = ()

    @classmethod
    def parse(cls, text: str) -> "SIPURI":
        """Raises RemoteProtocolError(416) for another scheme, (400) for a malformed one."""
        scheme, colon, rest = text.partition(":")
        if not colon or _SCHEME.fullmatch(scheme) is None:
            raise RemoteProtocolError(f"not a URI: {text[:80]!r}")
        scheme = scheme.lower()
        if scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"unsupported URI scheme {scheme[:20]!r}", status=416)
        userinfo, at, rest = rest.rpartition("@")
        user, password = _userinfo(userinfo) if at else (None, None)
        rest, _, headers = rest.partition("?")
        hostport, _, params = rest.partition(";")
        host, port = parse_host_port(hostport)
        return cls(
            scheme=scheme,
            user=user,
            password=password,
            host=host,
            port=port,
            params=_pairs(params, ";"),
            headers=_pairs(headers, "&"),
        )

    def format(self) -> str:
        """The inverse of `parse`, with everything escaped that must be."""
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(_escape(self.user, _USER_SAFE))
            if self.password is not None:
                parts += [":", _escape(self.password, "-_.!~*'()&=+$,")]
            parts.append("@")
        parts.append(format_host_port(self.host, self.port))
        parts += [";" + _format_pair(pair, _PARAM_SAFE) for pair in self.params]
        if self.headers:
            parts += ["?", "&".join(_format_pair(pair, _HEADER_SAFE) for pair in self.headers)]
        return "".join(parts)

    def param(self, name: str) -> str | None:
        """A parameter's value, "" when it stands without one, None when it is not there."""
        for key, value in self.params:
            if key.lower() == name:
                return value or ""
        return None

    def matches(self, other: "SIPURI") -> bool:
        """Whether both name the same resource by the rules of RFC 3261 §19.1.4, which is not an equivalence."""
        return (
            (self.scheme, self.user, self.password, self.port) == (other.scheme, other.user, other.password, other.port)
            and _same_host(self.host, other.host)
            and _match(_folded(self.params), _folded(other.params))
            and sorted((name.lower(), value or "") for name, value in self.headers)
            == sorted((name.lower(), value or "") for name, value in other.headers)
        )

    def is_equivalent(self, other: "SIPURI") -> bool:
        """Whether both name the same resource (§19.1.4): what is not said is not the same as its default."""
        ours, theirs = _lowered(self.params), _lowered(other.params)
        names = (ours.keys() & theirs.keys()) | (_DECISIVE_PARAMS & (ours.keys() | theirs.keys()))
        return (
            (self.scheme, self.user, self.password, self.host, self.port)
            == (other.scheme, other.user, other.password, other.host, other.port)
            and all(ours.get(name) == theirs.get(name) for name in names)
            and _lowered(self.headers) == _lowered(other.headers)
        )

    @property
    def transport(self) -> str | None:
        """The transport parameter in upper case, TLS for sips."""
        if self.scheme == "sips":
            return "TLS"
        value = self.param("transport")
        return value.upper() if value else None


def _lowered(pairs: Params) -> dict[str, str]:
    return {name.lower(): (value or "").lower() for name, value in pairs}


def scheme_of(uri: str) -> str:
    """The scheme of any URI, in lower case."""
    scheme, colon, _ = uri.partition(":")
    if not colon or _SCHEME.fullmatch(scheme) is None:
        raise RemoteProtocolError(f"not a URI: {uri[:80]!r}")
    return scheme.lower()


def user_of(uri: str) -> str | None:
    """Who a SIP, SIPS or tel URI names, or None."""
    if uri[:4].lower() == "tel:":
        return tel_number(uri) or None
    try:
        return SIPURI.parse(uri).user
    except RemoteProtocolError:
        return None


def tel_number(uri: str) -> str:
    """The number of a tel URI without its visual separators, which count for nothing (RFC 3966 §5.1.1)."""
    return uri[4:].partition(";")[0].translate(_VISUAL_SEPARATORS)


def parse_host_port(text: str) -> tuple[str, int | None]:
    """``host[:port]`` with IPv4, IPv6 in brackets (kept without them) or a name."""
    if text.startswith("["):
        literal, bracket, port = text[1:].partition("]")
        if not bracket or port[:1] not in ("", ":") or len(literal) > MAX_IPV6:
            raise RemoteProtocolError(f"not a host: {text[:80]!r}")
        host, colon, port = _ipv6(literal), port[:1], port[1:]
    else:
        host, colon, port = text.partition(":")
        if _NAME.fullmatch(host) is None:
            raise RemoteProtocolError(f"not a host: {text[:80]!r}")
        host = host.lower()
    if not colon:
        return host, None
    if not (port.isdecimal() and port.isascii() and len(port) <= 5 and int(port) <= 65535):
        raise RemoteProtocolError(f"not a port: {text[:80]!r}")
    return host, int(port)


@lru_cache(maxsize=1024)
def _ipv6(literal: str) -> str:
    """An IPv6 address as written, in lower case; one colon too many before an IPv4 part is read as none.

    RFC 3261's grammar has it so by mistake, and it is to be tolerated (RFC 5118 §4.10).
    """
    host = literal.lower()
    if "." in host:
        host = host.replace(":::", "::")
    if "%" in host or not _is_ipv6(host):
        raise RemoteProtocolError(f"not an IPv6 address: {literal[:80]!r}")
    return host


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def format_host_port(host: str, port: int | None) -> str:
    """The inverse of `parse_host_port`."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _same_host(one: str, other: str) -> bool:
    return one == other or (":" in one and ":" in other and IPv6Address(one) == IPv6Address(other))


def _folded(params: Params) -> dict[str, str]:
    return {name.lower(): (value or "").lower() for name, value in params}


def _match(one: dict[str, str], other: dict[str, str]) -> bool:
    """Parameters that both have are equal; some count even where only one has them."""
    shared = one.keys() & other.keys()
    return all(one[name] == other[name] for name in shared) and not (one.keys() ^ other.keys()) & _COUNTS_ALONE


def _userinfo(text: str) -> tuple[str, str | None]:
    user, colon, password = text.partition(":")
    if not user:
        raise RemoteProtocolError("empty user part before @")
    return unquote(user, errors="surrogateescape"), unquote(password, errors="surrogateescape") if colon else None


def _pairs(text: str, separator: str) -> Params:
    if not text:
        return ()
    pairs = []
    for item in text.split(separator):
        name, equals, value = item.partition("=")
        name = unquote(name, errors="surrogateescape")
        pairs.append((name, unquote(value, errors="surrogateescape") if equals else None))
    return tuple(pairs)


def _format_pair(pair: tuple[str, str | None], safe: str) -> str:
    name, value = pair
    return _escape(name, safe) if value is None else f"{_escape(name, safe)}={_escape(value, safe)}"


def _escape(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogateescape")
