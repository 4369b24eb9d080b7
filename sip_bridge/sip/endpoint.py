"""The one public object of the SIP core.

``receive``, ``tick`` and the orders take the time as ``now`` (seconds of any steady clock); after each of them
``drain`` gives what is to be sent and what happened, until it is empty.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.calls import Calls
from sip_bridge.sip.capabilities import ACCEPT, CAPABILITIES
from sip_bridge.sip.core import Core
from sip_bridge.sip.dispatcher import Dispatcher, has_foreign_body
from sip_bridge.sip.events import Output, RegistrationState
from sip_bridge.sip.flow import Flow, Hop
from sip_bridge.sip.instant_message import Messages
from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.line import Line
from sip_bridge.sip.lines import Lines
from sip_bridge.sip.notifier import Notifier
from sip_bridge.sip.options import OptionsQuery
from sip_bridge.sip.plans import Origins
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.replaces import Replaces
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.subscriber import Subscriber
from sip_bridge.sip.timers import RFC3261, Timers
from sip_bridge.sip.transactions.layer import ServerTransaction
from sip_bridge.sip.uri import SIPURI


class Endpoint:
    """A SIP user agent for any number of lines over shared flows."""

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        timers: Timers = RFC3261,
        user_agent: str = "sip-bridge",
        limits: Limits = LIMITS,
        learns_address: bool = True,
    ) -> None:
        self._core = Core(timers=timers, entropy=entropy, user_agent=user_agent)
        self._core.addresses.is_fixed = not learns_address
        self._core.readdressed.append(self._readdressed)
        self._policy = Policy(self._core.routing)
        self._lines = Lines(self._core, self._policy)
        self._calls = Calls(self._core, self._policy, self._lines.authenticators)
        self._dispatcher = Dispatcher(self._core, self._policy, limits)
        self._dispatcher.serve("INVITE", self._calls.receive)
        self._dispatcher.serve("OPTIONS", self._receive_options)
        self._origins = Origins(self._policy, self._core.routing, self._lines.authenticators)
        self._messages = Messages(self._core, self._policy)
        self._subscriber = Subscriber(self._core, self._policy, self._origins)
        self._dispatcher.serve("MESSAGE", self._messages.receive)
        self._notifier = Notifier(self._core, self._policy)
        self._dispatcher.serve("NOTIFY", self._subscriber.receive_notify)
        self._dispatcher.serve("REFER", _forbid)
        self._dispatcher.serve("SUBSCRIBE", self._notifier.receive_subscribe)

    # --- time and output ---

    @property
    def next_deadline(self) -> float | None:
        """When `tick` wants to be called, None when nothing waits."""
        return self._core.schedule.next_deadline

    def tick(self, now: float) -> None:
        """Fire every timer that is due."""
        self._core.schedule.run(now)

    def drain(self) -> Iterator[Output]:
        """What is to be sent and what happened, in order; what is added while draining comes too."""
        outbox = self._core.outbox
        while outbox:
            yield outbox.popleft()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something was dropped or refused, by name."""
        return self._core.counters

    @property
    def transactions(self) -> int:
        """How many transactions are alive."""
        return len(self._core.layer)

    @property
    def calls(self) -> int:
        """How many calls are alive."""
        return len(self._core.sessions)

    @property
    def watchers(self) -> int:
        """How many peers have subscribed to what our lines do."""
        return len(self._notifier)

    @property
    def has_open_requests(self) -> bool:
        """Whether a request of ours still waits for its final response."""
        return self._core.layer.has_open_requests

    def resolved(self, hop: Hop, flows: tuple[Flow, ...], now: float) -> None:
        """The answer to `ResolveNeeded`: flows to the hop, best first; none when it can't be reached."""
        self._core.routing.resolved(hop, frozenset(flow.remote[0] for flow in flows))
        self._core.resolved(hop, flows, now)

    def transport_failed(self, flow: Flow, now: float) -> None:
        """Sending over a flow failed."""
        self._core.layer.transport_failed(flow, now)
        for line, registration in self._lines.registered_over(flow).items():
            registration.transport_failed(now)
            self._subscriber.renew(line)

    def registrar_flows(self) -> frozenset[Flow]:
        """The flows that lines registered over last, for `address_changed`."""
        return self._lines.flows()

    def address_changed(self, flow: Flow, now: float) -> None:
        """A flow to a registrar would have another local address now: its lines register and subscribe anew at once."""
        for line, registration in self._lines.registered_over(flow).items():
            registration.address_changed(now)
            self._subscriber.renew(line)

    def knows(self, flow: Flow) -> bool:
        """Whether a peer may ask for something outside a dialog."""
        return self._policy.is_known(flow)

    def _readdressed(self, flow: Flow, now: float) -> None:
        for registration in self._lines.registered_over(flow).values():
            registration.readdressed(flow, now)

    # --- lines ---

    def add_line(self, line: Line) -> None:
        """Serve a line; a registered one registers when `register` is called."""
        self._lines.add(line)

    def change_line(self, line: Line, now: float) -> None:
        """Serve the line of that id otherwise from now on; its calls go on. InvalidStateError when there is none.

        A registered line registers anew where that changed, and removes the registration that it had elsewhere.
        """
        if self._lines.would_move(line):
            self._subscriber.leave_mailbox(line.id, now)
        self._lines.change(line, now)
        self._subscriber.line_changed(line.id, now, is_registered=self._lines.is_registered(line.id))

    def remove_line(self, line: str, now: float) -> None:
        """Serve a line no more: nobody can call it, its registration is removed. Its calls are still to be hung up."""
        self.end_subscriptions(line, now)
        self._lines.remove(line, now)

    def order_lines(self, lines: Sequence[str]) -> None:
        """All lines in the order in which they are asked whether a request is for them."""
        self._policy.order(lines)

    def register(self, line: str, now: float) -> None:
        """Register a line and keep it registered."""
        self._lines.registration(line).start(now)

    def unregister(self, line: str, now: float) -> None:
        """Remove a line's registration, and the subscription to its mailbox with it."""
        registration = self._lines.registration(line)
        self._subscriber.leave_mailbox(line, now)
        registration.stop(now)

    def registration_state(self, line: str) -> RegistrationState:
        """Where a line's registration stands."""
        return self._lines.registration(line).state

    # --- calls ---

    def invite(
        self,
        line_id: str,
        target: str,
        offer: bytes,
        now: float,
        *,
        from_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        replaces: str | None = None,
        allows: Callable[[SIPURI], bool] = lambda _: True,
    ) -> str:
        """Place a call to a number or URI; returns the call's id. LocalProtocolError for a target that is none.

        An empty ``offer`` leaves the offer to the peer. ``allows`` says where a redirection (3xx) may lead;
        ``replaces`` is what `TransferRequested` gave.
        """
        del now
        return self._calls.place(
            self._origins.of(line_id, target),
            offer,
            from_name=from_name,
            headers=headers or {},
            replaces=replaces,
            allows=allows,
        )

    def first_hop(self, line_id: str, target: str) -> Hop:
        """Where an INVITE to a target would go first; LocalProtocolError for a target that is none."""
        return self._origins.of(line_id, target).route.hop

    def ring(self, call: str, status: SIPStatus, now: float, content: bytes = b"") -> None:
        """Send a provisional response to a received call."""
        self._calls.incoming(call).ring(status, now, content)

    def answer(self, call: str, content: bytes, now: float) -> None:
        """Answer a received call with 200 OK."""
        self._calls.incoming(call).answer(content, now)

    def reject(self, call: str, status: SIPStatus, now: float) -> None:
        """Refuse a received call with a 3xx to 6xx."""
        self._calls.incoming(call).reject(status, now)

    def hangup(self, call: str, now: float) -> None:
        """End a call, whatever state it is in."""
        self._calls.session(call).hangup(now)

    def leave_to_other(self, call: str, now: float) -> None:
        """End a call of ours because somebody else took it; InvalidStateError when it is over, or came in."""
        self._calls.outgoing(call).leave_to_other(now)

    def accept_offer(self, call: str, content: bytes, now: float) -> None:
        """Answer `OfferReceived`."""
        self._calls.session(call).accept_offer(content, now)

    def refuse_offer(self, call: str, status: SIPStatus, now: float) -> None:
        """Refuse `OfferReceived`."""
        self._calls.session(call).refuse_offer(status, now)

    # --- texts, questions, subscriptions ---

    def send_message(
        self, line_id: str, target: str, text: str, now: float, *, content_type: str = "text/plain"
    ) -> str:
        """Send a text; returns the id that `MessageSent` or `MessageFailed` will name. Errors as `invite`."""
        del now
        return self._messages.send(self._origins.of(line_id, target), text, content_type=content_type)

    def send_options(self, line_id: str, target: str, now: float) -> str:
        """Ask a peer what it can do; returns the id that `OptionsAnswered` or `OptionsFailed` will name."""
        del now
        query = OptionsQuery(self._core, self._origins.of(line_id, target))
        query.send()
        return query.id

    def subscribe(self, line_id: str, target: str, package: str, now: float) -> str:
        """Follow somebody's ``dialog`` state, or a ``message-summary``, until `unsubscribe`; returns an id.

        LocalProtocolError for another package or a target that is none, InvalidStateError for too many.
        """
        del now
        return self._subscriber.subscribe(line_id, target, package)

    def unsubscribe(self, subscription: str, now: float) -> None:
        """End a subscription; InvalidStateError when there is none of that id."""
        self._subscriber.unsubscribe(subscription, now)

    def end_subscriptions(self, line: str, now: float) -> None:
        """End every subscription of a line, ours and those of its watchers, as before going away."""
        self._notifier.leave(line)
        self._subscriber.leave(line, now)

    # --- what comes ---
    def modify(self, call: str, now: float) -> None:
        """Change a call's session (hold, resume, another codec): `OfferNeeded` follows when an offer may go out."""
        self._calls.session(call).modify(now)

    def send_offer(self, call: str, content: bytes, now: float) -> None:
        """Our offer, after `OfferNeeded`; `AnswerReceived` or `OfferRefused` follows."""
        del now
        self._calls.session(call).modification.offer(content)

    def send_info(self, call: str, content_type: str, content: bytes, now: float) -> None:
        """Send INFO within a call; `InfoAnswered` follows."""
        del now
        self._calls.session(call).send_info(content_type, content)

    def allows(self, call: str, method: str) -> bool:
        """Whether the peer has said that it takes requests of this method within a call."""
        return self._calls.session(call).peer_allows(method)

    # --- transfer ---

    def transfer(self, call: str, target: str, now: float) -> None:
        """Ask the peer to call somebody else (REFER); `TransferEnded` tells the outcome, the call goes on till then."""
        session = self._calls.session(call)
        uri = self._origins.of(session.line, target).target
        session.refer(uri.format(), None, now)

    def transfer_to(self, call: str, other: str, now: float) -> None:
        """Connect the peers of two calls of ours with each other (attended transfer, RFC 5589 §7)."""
        session, target = self._calls.session(call), self._calls.session(other)
        if target.dialog is None or not target.is_confirmed:
            raise InvalidStateError(f"call {other} is not answered")
        session.refer(target.dialog.remote_target, Replaces.of(target.dialog), now)

    def accept_transfer(self, call: str, now: float) -> None:
        """Agree to `TransferRequested`; tell with ``report_transfer`` how the new call goes."""
        self._calls.session(call).referral.accept(now)

    def refuse_transfer(self, call: str, status: SIPStatus, now: float) -> None:
        """Refuse `TransferRequested`."""
        self._calls.session(call).referral.refuse(status, now)

    def report_transfer(self, call: str, status: SIPStatus, now: float) -> None:
        """Tell the peer that asked for it how far our call to the target is; a final status is the last report."""
        del now
        self._calls.session(call).referral.report(status)

    # --- messages ---

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Bytes of one message arrived; never raises on what a peer sent: it answers, or drops and counts."""
        self._dispatcher.receive(data, flow, now)

    def _receive_options(self, transaction: ServerTransaction, now: float) -> None:
        """What we can do (RFC 3261 §11.2)."""
        if has_foreign_body(transaction.request):
            transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept", ACCEPT)])
            return
        found = self._policy.line_for(transaction.request, transaction.flow) is not None
        status = SIPStatus.OK if found else SIPStatus.NOT_FOUND
        transaction.respond(status, now, headers=CAPABILITIES)


def _forbid(transaction: ServerTransaction, now: float) -> None:
    """A REFER outside a call: nobody has us call somebody that way."""
    transaction.respond(SIPStatus.FORBIDDEN, now)
