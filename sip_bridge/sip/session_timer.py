"""Session timers (RFC 4028): the peers keep telling each other that the session stands; who vanished is hung up."""

from collections.abc import Callable
from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.core import Core
from sip_bridge.sip.fields import get_param, parse_params
from sip_bridge.sip.message import SIPMessage

SESSION_EXPIRES: Final = 1800  # seconds, what RFC 4028 §4 recommends
MIN_SE: Final = 90  # seconds, the least that RFC 4028 §5 lets anybody ask for
LONGEST: Final = 86400
SHORTEST_TIMER: Final = 10.0  # seconds: a peer that grants less would have us refresh without a pause
EXPIRY_MARGIN: Final = 32.0  # seconds before the end at which BYE goes out (§10)

HeaderList = list[tuple[str, str]]


class SessionTimer:
    """``refresh`` is called when it is our turn to refresh the session, ``expire`` when the peer missed its own."""

    def __init__(self, core: Core, *, refresh: Callable[[float], None], expire: Callable[[float], None]) -> None:
        self._refresh = refresh
        self._expire = expire
        self._alarm = core.alarm(self._due)
        self._interval = SESSION_EXPIRES
        self._min_se = MIN_SE
        self._we_refresh: bool | None = None  # None: no timer runs

    def stop(self) -> None:
        """The call is over, or the peer wants no timer."""
        self._alarm.clear()
        self._we_refresh = None

    def _due(self, now: float) -> None:
        if self._we_refresh:
            self._refresh(now)
        else:
            self._expire(now)

    def _start(self, interval: int, *, we_refresh: bool, now: float) -> None:
        self._interval = interval
        self._we_refresh = we_refresh
        seconds = interval / 2 if we_refresh else interval - min(EXPIRY_MARGIN, interval / 3)
        self._alarm.set(now + max(seconds, SHORTEST_TIMER))

    # --- our requests ---

    def request_headers(self) -> HeaderList:
        """What an INVITE or UPDATE of ours says (§7.1, §7.4); the roles stay as they are."""
        refresher = {True: ";refresher=uac", False: ";refresher=uas", None: ""}[self._we_refresh]
        headers = [("Session-Expires", f"{self._interval}{refresher}")]
        return headers if self._min_se == MIN_SE else [*headers, ("Min-SE", str(self._min_se))]

    def raise_to(self, response: SIPMessage) -> bool:
        """A 422 named the shortest interval; False when asking for it can't help (§7.3)."""
        wanted = _seconds(response.get("min-se"))
        if wanted is None or wanted <= self._min_se:
            return False
        self._interval = max(self._interval, wanted)
        self._min_se = wanted
        return True

    def agreed(self, response: SIPMessage, now: float) -> None:
        """A 2xx to our INVITE or UPDATE (§7.2)."""
        interval = _seconds(response.get("session-expires"))
        if interval is None:
            self.stop()
        else:
            self._start(interval, we_refresh=_refresher(response) != "uas", now=now)

    # --- the peer's requests ---

    def answer(self, request: SIPMessage, now: float) -> HeaderList:
        """What our 2xx to an INVITE or UPDATE says (§9)."""
        interval = _seconds(request.get("session-expires"))
        if interval is None:
            self.stop()
            return []
        interval = max(interval, MIN_SE)
        refresher = (_refresher(request) or "uac") if _knows_timers(request) else "uas"
        self._start(interval, we_refresh=refresher == "uas", now=now)
        headers = [("Session-Expires", f"{interval};refresher={refresher}")]
        return [*headers, ("Require", "timer")] if refresher == "uac" else headers


MIN_SE_HEADER: Final = ("Min-SE", str(MIN_SE))


def is_too_brief(request: SIPMessage) -> bool:
    """Whether 422 with `MIN_SE_HEADER` is due (RFC 4028 §9): only who knows of timers can ask again."""
    interval = _seconds(request.get("session-expires"))
    return interval is not None and interval < MIN_SE and _knows_timers(request)


def _knows_timers(request: SIPMessage) -> bool:
    return "timer" in request.tokens("supported") | request.tokens("require")


def _seconds(value: str | None) -> int | None:
    """The delta-seconds of Session-Expires or Min-SE; None for anything else: a timer is no reason to lose a call."""
    digits = (value or "").partition(";")[0].strip()
    return min(int(digits), LONGEST) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None


def _refresher(message: SIPMessage) -> str | None:
    _, semicolon, params = (message.get("session-expires") or "").partition(";")
    try:
        refresher = (get_param(parse_params(semicolon + params), "refresher") or "").lower()
    except RemoteProtocolError:
        return None
    return refresher if refresher in ("uac", "uas") else None
