"""Who calls, and how the call wants to be taken, from the headers of an INVITE.

All of them only inform: one that can't be read is passed over and never fails a call. Nothing here may be believed of
a stranger: `asserted` identities are taken from a trusted source only, and whether a wish to be answered at once is
granted is for the line's owner to say.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final, TypeVar

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import NameAddr, get_param, is_token, split_leniently, split_outside, unquoted
from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.uri import Params, user_of

T = TypeVar("T")

MAX_VALUES: Final = 16  # of one header that are read
MAX_TEXT: Final = 128  # characters of a name, a user part or an alert
MAX_ENCODED: Final = 1024  # characters of a name before it is decoded
MAX_ANSWER_AFTER: Final = 3600  # seconds; a longer wait is not meant to be one

_ANONYMOUS_USERS: Final = frozenset({"anonymous", "restricted"})
_ANONYMOUS_HOSTS: Final = ("@anonymous.invalid", "@unknown.invalid")
_HIDING: Final = frozenset({"id", "user", "full"})  # RFC 3325 §9.3, RFC 3323 §4.2, and Remote-Party-ID's "full"
# What Alert-Info says, in one spelling or another, when the call is to be answered by itself.
_AUTO_ANSWERS: Final = frozenset({"alert autoanswer", "autoanswer", "auto answer", "ring answer", "intercom"})
_NUMBER = re.compile(r"\+?[0-9*#]+")
_VISUAL_SEPARATORS = re.compile(r"[-.()]")  # RFC 3966 §5.1.1
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The caller as far as it may be known.

    ``asserted``: the line's registrar or proxy vouches for ``address``, otherwise it is only what From claims.
    ``anonymous``: the caller asked not to be shown. ``diverted_from``: whom the caller called at first.
    ``alert``: URIs and names of ring tones. ``answer_after``: the wish to be answered after so many seconds.
    """

    address: NameAddr
    asserted: bool = False
    anonymous: bool = False
    diverted_from: NameAddr | None = None
    alert: tuple[str, ...] = ()
    answer_after: int | None = None

    @property
    def display_name(self) -> str | None:
        """The name to show: printable, without encoding, at most `MAX_TEXT` characters."""
        return readable(self.address.display_name or "") or None

    @property
    def user(self) -> str | None:
        """The user part or telephone number, printable."""
        return readable(user_of(self.address.uri) or "") or None

    @property
    def number(self) -> str | None:
        """The user part if it is a telephone number, without visual separators and parameters."""
        return number_of(self.address)


def caller_of(request: SIPMessage, *, trusted: bool) -> Caller:
    """Who sends an INVITE; ``trusted``: it came from the line's registrar or proxy, whose assertions count."""
    claimed = _without_params(request.from_)
    identity = asserted_identity(request) if trusted else None
    hidden = not _HIDING.isdisjoint(_privacy(request))
    if identity is not None and not hidden:
        address, anonymous = _named(identity, claimed), False
    else:
        address, anonymous = claimed, hidden or _is_anonymous(claimed)
    return Caller(
        address=address,
        asserted=address is not claimed,
        anonymous=anonymous,
        diverted_from=diverted_from(request),
        alert=_alert(request),
        answer_after=answer_after(request),
    )


def number_of(address: NameAddr) -> str | None:
    """The telephone number of a tel or SIP URI (RFC 3966, RFC 3261 §19.1.6), None when its user is none."""
    user = (user_of(address.uri) or "").partition(";")[0]
    digits = _VISUAL_SEPARATORS.sub("", user)
    return digits[:MAX_TEXT] if _NUMBER.fullmatch(digits) else None


def readable(text: str) -> str:
    """A name as it is meant: encoded words (RFC 2047) and Latin-1 decoded, nothing unprintable, not too long."""
    text = text[:MAX_ENCODED]
    if _ENCODED_WORD.search(text):
        text = _decoded(text)
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 came as surrogates
        text = text.encode("utf-8", "surrogateescape").decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT]


# --- identity ---


def asserted_identity(message: SIPMessage) -> NameAddr | None:
    """P-Asserted-Identity (RFC 3325), else Remote-Party-ID; only to be asked of a trusted source."""
    for address in _addresses(message, "p-asserted-identity"):
        return _without_params(address)
    for address in _addresses(message, "remote-party-id"):
        party, kind = address.param("party") or "calling", address.param("id-type") or "subscriber"
        if (party.lower(), kind.lower()) == ("calling", "subscriber"):
            return _without_params(address)
    return None


def _privacy(request: SIPMessage) -> set[str]:
    """What the caller wants to be hidden: Privacy, or the parameter of Remote-Party-ID."""
    values = [value for line in request.get_all("privacy") for value in re.split("[;,]", line)]
    values += [address.param("privacy") or "" for address in _addresses(request, "remote-party-id")]
    return {value.strip().lower() for value in values}


def _is_anonymous(address: NameAddr) -> bool:
    """From of a caller who hides (RFC 3323 §4.1.1.3)."""
    user = (user_of(address.uri) or "").lower()
    return user in _ANONYMOUS_USERS or address.uri.lower().endswith(_ANONYMOUS_HOSTS)


def _named(identity: NameAddr, claimed: NameAddr) -> NameAddr:
    """A network asserts numbers, the name stands in From; it is taken over when both are of the same user."""
    if identity.display_name or user_of(identity.uri) != user_of(claimed.uri):
        return identity
    return replace(identity, display_name=claimed.display_name)


def _without_params(address: NameAddr) -> NameAddr:
    return replace(address, params=())


# --- diversion ---


def diverted_from(request: SIPMessage) -> NameAddr | None:
    """Whom the caller called at first, if the call was diverted: Diversion (RFC 5806), else History-Info (RFC 7044)."""
    diversions = list(_addresses(request, "diversion"))
    if diversions:
        return _without_params(diversions[-1])  # the latest stands first
    history = list(_addresses(request, "history-info"))
    if any(_is_diversion(entry) for entry in history[1:]):
        return _without_headers(history[0])
    return None


def _is_diversion(entry: NameAddr) -> bool:
    """An entry that was not merely routed: it has a cause (RFC 4458), a reason, or another user (``mp``)."""
    uri = entry.uri.lower()
    return ";cause=" in uri or "reason=" in uri or entry.param("mp") is not None


def _without_headers(entry: NameAddr) -> NameAddr:
    return NameAddr(uri=entry.uri.partition("?")[0], display_name=entry.display_name)


# --- how to alert, and when to answer ---


def _alert(request: SIPMessage) -> tuple[str, ...]:
    """Every URI and name of Alert-Info (RFC 3261 §20.4, RFC 7462)."""
    names = []
    for text, params in _infos(request, "alert-info"):
        names += [readable(name) for name in (text, get_param(params, "info") or "")]
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_VALUES]


def answer_after(request: SIPMessage) -> int | None:
    """Seconds after which the caller wants to be answered by itself: Answer-Mode (RFC 5373), Call-Info, Alert-Info."""
    for name in ("answer-mode", "priv-answer-mode"):
        mode = (request.get(name) or "").partition(";")[0].strip().lower()
        if mode in ("auto", "manual"):
            return 0 if mode == "auto" else None
    for _, params in _infos(request, "call-info"):
        delay = get_param(params, "answer-after")
        if delay is not None:
            return _seconds(delay)
    for text, params in _infos(request, "alert-info"):
        if {_spelling(text), _spelling(get_param(params, "info") or "")} & _AUTO_ANSWERS:
            return _seconds(get_param(params, "delay") or "0")
    return None


def _spelling(text: str) -> str:
    """``Auto-Answer``, ``auto answer`` and ``AUTO_ANSWER`` are the same."""
    return re.sub("[-_ ]+", " ", text.lower())


def _seconds(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        return None
    return int(text) if int(text) <= MAX_ANSWER_AFTER else None


# --- reading leniently ---


def _addresses(message: SIPMessage, name: str) -> Iterator[NameAddr]:
    """The addresses of a header that can be read."""
    yield from _readable(NameAddr.parse, split_leniently(message.get_all(name), limit=MAX_VALUES))


def _infos(message: SIPMessage, name: str) -> Iterator[tuple[str, Params]]:
    """The elements of Alert-Info or Call-Info: the URI or word, and parameters; many phones leave the URI out."""
    values = split_leniently(message.get_all(name), limit=MAX_VALUES)
    yield from _readable(_info, (value.replace("\\;", ";") for value in values))  # Asterisk dial plans escape it


def _info(value: str) -> tuple[str, Params]:
    first, *others = split_outside(value, ";")
    pairs = [item.partition("=") for item in others]
    if is_token(first.partition("=")[0].strip()) and "=" in first:
        pairs.insert(0, first.partition("="))
        first = ""
    params = tuple((name.strip(), unquoted(text.strip())) for name, _, text in pairs)
    return unquoted(first).removeprefix("<").removesuffix(">"), params


def _readable(parse: Callable[[str], T], values: Iterable[str]) -> Iterator[T]:
    for value in values:
        try:
            yield parse(value)
        except RemoteProtocolError:
            continue


def _decoded(text: str) -> str:
    """Encoded words as text; as they stand when they can't be decoded."""
    try:
        parts = decode_header(text)
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "raw-unicode-escape") for part, charset in parts
        )
    except (HeaderParseError, LookupError, ValueError):
        return text
