"""The event packages that we subscribe to: what their notifications carry, and the fact that follows from it.

RFC 3842, RFC 4235.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sip_bridge.sip import dialog_info, message_waiting
from sip_bridge.sip.dialog_info import DialogInfo
from sip_bridge.sip.events import DialogStateReceived, LineEvent, MessagesWaiting
from sip_bridge.sip.message_waiting import MessageSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """``read(line, subscription, content)`` gives the fact; RemoteProtocolError for content that is none."""

    name: str
    content_type: str
    read: Callable[[str, str, bytes], LineEvent]


def messages_waiting(line: str, _subscription: str, content: bytes) -> MessagesWaiting:
    """The fact of a message summary."""
    summary = MessageSummary.parse(content)
    return MessagesWaiting(line=line, waiting=summary.waiting, new=summary.voice.new, old=summary.voice.old)


def _dialog_state(line: str, subscription: str, content: bytes) -> DialogStateReceived:
    return DialogStateReceived(line=line, subscription=subscription, info=DialogInfo.parse(content))


PACKAGES: Final[Mapping[str, Package]] = {
    package.name: package
    for package in (
        Package(name=message_waiting.PACKAGE, content_type=message_waiting.CONTENT_TYPE, read=messages_waiting),
        Package(name=dialog_info.PACKAGE, content_type=dialog_info.CONTENT_TYPE, read=_dialog_state),
    )
}
