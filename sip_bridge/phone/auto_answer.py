"""Answering a call without a person, unless somebody is faster."""

import asyncio
import logging
from typing import TYPE_CHECKING

from sip_bridge.errors import InvalidStateError, NegotiationError, NoPortsAvailableError
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.settings import AutoAnswer

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

_LOG = logging.getLogger(__name__)


class SelfAnswer:
    """The auto-answer of one ringing call: at most one, and none once `stop` was called or the setting is off."""

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall") -> None:
        self._phone = phone
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        """Answer after so many seconds of ringing."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def stop(self) -> None:
        """The call is answered or over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._phone.settings.auto_answer:
            self._phone.start_task(self._answer(), name=f"answer {self._call.call_id}")

    async def _answer(self) -> None:
        """Whoever answers, refuses or gives up meanwhile is first; the call tells of it."""
        try:
            await self._call.answer(announcement=_announcement(self._phone.account.auto_answer))
        except (InvalidStateError, NegotiationError):
            return
        except NoPortsAvailableError as error:
            _LOG.warning("%s: a call rings on, not answered by itself: %s", self._phone.account.id, error)


def _announcement(answering: AutoAnswer) -> Announcement | None:
    if answering.play is None:
        return None
    return Announcement(
        source=str(answering.play), settle=answering.settle_ms / 1000, hangup_after=answering.auto_hangup
    )
