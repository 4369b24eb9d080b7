"""The words of event notification (RFC 6665 §8.2): Event and Subscription-State."""

from dataclasses import dataclass
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import format_params, get_param, is_token, parse_params
from sip_bridge.sip.message import SIPMessage

MAX_SECONDS: Final = 86400  # a longer expiry or wait is cut


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """``Event: dialog;id=7``: a package, and which of several subscriptions in one dialog."""

    package: str
    id: str | None = None

    @classmethod
    def of(cls, request: SIPMessage) -> "EventType":
        """What a SUBSCRIBE or NOTIFY is about; RemoteProtocolError when it does not say, 489 for what is no package."""
        text = request.get("event")
        if not text:
            raise RemoteProtocolError("Event is missing", status=489)
        package, semicolon, params = text.partition(";")
        package = package.strip().lower()
        if not is_token(package):
            raise RemoteProtocolError("Event names no package", status=489)
        return cls(package=package, id=get_param(parse_params(semicolon + params), "id"))

    def format(self) -> str:
        """The inverse of `of`."""
        return self.package + format_params(() if self.id is None else (("id", self.id),))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStatus:
    """``Subscription-State: terminated;reason=timeout;retry-after=60``; seconds are bounded by MAX_SECONDS."""

    word: str
    expires: int | None = None
    reason: str | None = None
    retry_after: int | None = None

    @classmethod
    def of(cls, notify: SIPMessage) -> "SubscriptionStatus":
        """What a NOTIFY says; old peers leave the header out, which means that all is well."""
        text = notify.get("subscription-state")
        if text is None:
            return cls(word="active")
        word, semicolon, rest = text.partition(";")
        word = word.strip().lower()
        if not is_token(word):
            raise RemoteProtocolError("Subscription-State says nothing")
        params = parse_params(semicolon + rest)
        reason = get_param(params, "reason")
        return cls(
            word=word,
            expires=_seconds(get_param(params, "expires")),
            reason=reason.lower() if reason else None,
            retry_after=_seconds(get_param(params, "retry-after")),
        )

    def format(self) -> str:
        """The inverse of `of`."""
        given = (("reason", self.reason), ("expires", self.expires), ("retry-after", self.retry_after))
        return self.word + format_params(tuple((name, str(value)) for name, value in given if value is not None))


def _seconds(text: str | None) -> int | None:
    if not text or not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:10]), MAX_SECONDS)


def seconds_of(message: SIPMessage, name: str) -> int | None:
    """A header of seconds, bounded; None when it is absent or makes no sense: a peer's slip must not end us."""
    try:
        number = message.number(name)
    except RemoteProtocolError:
        return None
    return None if number is None else min(number, MAX_SECONDS)
