"""Every subscription of an endpoint, among them those to the lines' own mailboxes; and what is notified unasked.

RFC 6665 §4.1, RFC 3842.
"""

from typing import Final

from sip_bridge.errors import InvalidStateError, LocalProtocolError
from sip_bridge.sip import message_waiting
from sip_bridge.sip.core import Core
from sip_bridge.sip.event_package import EventType
from sip_bridge.sip.events import Output, RegistrationChanged, RegistrationState
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.packages import PACKAGES, messages_waiting
from sip_bridge.sip.plans import Origin, Origins
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.subscription import Subscription
from sip_bridge.sip.transactions.layer import ServerTransaction

MAX_SUBSCRIPTIONS: Final = 2048  # of one endpoint: a mailbox for each line, and whom they watch


class Subscriber:
    """Subscriptions by their id."""

    def __init__(self, core: Core, policy: Policy, origins: Origins) -> None:
        self._core = core
        self._policy = policy
        self._origins = origins
        self._subscriptions: dict[str, Subscription] = {}
        self._mailboxes: dict[str, str] = {}  # line: subscription
        core.observers.append(self._observe)

    def subscribe(self, line: str, target: str, package: str) -> str:
        """See `Endpoint.subscribe`."""
        return self._subscribe(self._origins.of(line, target), package)

    def _subscribe(self, origin: Origin, package: str) -> str:
        if package not in PACKAGES:
            raise LocalProtocolError(f"no event package {package[:40]!r}: there are {', '.join(PACKAGES)}")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise InvalidStateError(f"there are {MAX_SUBSCRIPTIONS} subscriptions already")
        subscription = Subscription(self._core, origin, PACKAGES[package])
        self._subscriptions[subscription.id] = subscription
        subscription.start()
        return subscription.id

    def unsubscribe(self, subscription: str, now: float) -> None:
        """See `Endpoint.unsubscribe`."""
        if subscription not in self._subscriptions:
            raise InvalidStateError(f"there is no subscription {subscription[:40]!r}")
        self._subscriptions.pop(subscription).stop(now)

    def renew(self, line: str) -> None:
        """Tell every notifier where the line is reached now."""
        for subscription in self._subscriptions.values():
            if subscription.line == line:
                subscription.renew()

    def leave_mailbox(self, line: str, now: float) -> None:
        """End the subscription to a line's own mailbox, if there is one."""
        mailbox = self._mailboxes.pop(line, None)
        if mailbox is not None:
            self.unsubscribe(mailbox, now)

    def leave(self, line: str, now: float) -> None:
        """End every subscription of a line."""
        self._mailboxes.pop(line, None)
        for subscription in [each for each in self._subscriptions.values() if each.line == line]:
            self.unsubscribe(subscription.id, now)

    def line_changed(self, line_id: str, now: float, *, is_registered: bool) -> None:
        """Follow the mailbox if the line is to; one that registers just now does so when it has."""
        line = self._policy.lines[line_id]
        if not isinstance(line, RegisteredLine) or not line.message_waiting:
            self.leave_mailbox(line_id, now)
        elif is_registered:
            self._follow_mailbox(line_id)

    def _observe(self, output: Output) -> None:
        """A line that has registered subscribes to its mailbox, if it is to."""
        if isinstance(output, RegistrationChanged) and output.state is RegistrationState.REGISTERED:
            self._follow_mailbox(output.line)

    def _follow_mailbox(self, line_id: str) -> None:
        line = self._policy.lines[line_id]
        if not isinstance(line, RegisteredLine) or not line.message_waiting:
            return
        if line_id in self._mailboxes or len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            return
        origin = self._origins.of(line_id, line.aor.format())
        self._mailboxes[line_id] = self._subscribe(origin, message_waiting.PACKAGE)

    def receive_notify(self, transaction: ServerTransaction, now: float) -> None:
        """A NOTIFY outside any dialog: many a PBX tells a registered phone of its mailbox unasked."""
        request = transaction.request
        line = self._policy.line_for(request, transaction.flow)
        if (
            not isinstance(line, RegisteredLine)
            or line.message_waiting is False
            or not request.get("event")
            or EventType.of(request).package != message_waiting.PACKAGE
        ):
            transaction.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST, now)
        elif request.content_type != message_waiting.CONTENT_TYPE:
            accept = [("Accept", message_waiting.CONTENT_TYPE)]
            transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=accept)
        else:
            fact = messages_waiting(line.id, "", request.content)
            transaction.respond(SIPStatus.OK, now)
            self._core.emit(fact)
