"""SIP, SIPS and other URIs (RFC 3261 §19.1, §25.1; RFC 3966)."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from sip_bridge.errors import RemoteProtocolError

Params = tuple[tuple[str, str | None], ...]  # in order; None for a parameter without "="

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\]")
# RFC 3261 §25.1: what stands unescaped beside the unreserved characters
_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_PARAM_SAFE: Final = "-_.!~*'()[]/:&+$"
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

    @property
    def transport(self) -> str | None:
        """The transport parameter in upper case, TLS for sips."""
        if self.scheme == "sips":
            return "TLS"
        value = self.param("transport")
        return value.upper() if value else None


def scheme_of(uri: str) -> str:
    """The scheme of any URI, in lower case."""
    scheme, colon, _ = uri.partition(":")
    if not colon or _SCHEME.fullmatch(scheme) is None:
        raise RemoteProtocolError(f"not a URI: {uri[:80]!r}")
    return scheme.lower()


def user_of(uri: str) -> str | None:
    """Who a SIP, SIPS or tel URI names, or None."""
    if uri[:4].lower() == "tel:":
        return uri[4:].partition(";")[0] or None
    try:
        return SIPURI.parse(uri).user
    except RemoteProtocolError:
        return None


def parse_host_port(text: str) -> tuple[str, int | None]:
    """``host[:port]`` with IPv4, IPv6 in brackets (kept without them) or a name."""
    if text.startswith("["):
        host, bracket, port = text.partition("]")
        host += bracket
        port = port.removeprefix(":") if port else ""
    else:
        host, colon, port = text.partition(":")
        if colon and not port:
            raise RemoteProtocolError(f"empty port: {text[:80]!r}")
    if _HOST.fullmatch(host) is None:
        raise RemoteProtocolError(f"not a host: {text[:80]!r}")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise RemoteProtocolError(f"not a port: {text[:80]!r}")
    return host.strip("[]").lower(), int(port) if port else None


def format_host_port(host: str, port: int | None) -> str:
    """The inverse of `parse_host_port`."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


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
