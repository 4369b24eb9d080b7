"""VoIPPhone: one account, its registration and its calls."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from sip_bridge.errors import (
    BusyError,
    InvalidAccountInfoError,
    InvalidStateError,
    LocalProtocolError,
    SipBridgeError,
)
from sip_bridge.media.codec import check_codecs
from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.phone.announcement import Announcement
from sip_bridge.phone.call import VoIPCall
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.codes import CodeLock
from sip_bridge.phone.door import DoorOpener
from sip_bridge.phone.events import CallChanged, CallFinished, PhoneEvent
from sip_bridge.phone.hunt import Hunt
from sip_bridge.phone.lines import line_of
from sip_bridge.phone.media import MediaSession
from sip_bridge.phone.reception import Reception
from sip_bridge.phone.rtp_transport import new_srtp_context
from sip_bridge.phone.screening import may_dial
from sip_bridge.phone.settings import Account, DirectAccount, LineSettings, RegisteredAccount
from sip_bridge.sip.events import (
    CallPlaced,
    CallReceived,
    DialogStateReceived,
    Event,
    MessageFailed,
    MessageReceived,
    MessageSent,
    MessagesWaiting,
    OptionsAnswered,
    OptionsFailed,
    RegistrationChanged,
    RegistrationState,
    SubscriptionChanged,
)
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import SIPURI

_LOG = logging.getLogger(__name__)
Listener = Callable[["VoIPPhone", PhoneEvent], None]
Outcome = MessageSent | MessageFailed | OptionsAnswered | OptionsFailed
MAX_REQUESTS: Final = 32  # texts and questions of one account that wait for their answer
TRANSFER_TIMEOUT: Final = 60.0  # seconds that whom we were transferred to may ring
MAX_OUTGOING: Final = 8  # calls that one account may have placed at a time


class VoIPPhone:
    """A phone on a client; ``listener`` hears of everything that happens on it."""

    def __init__(self, client: SIPClient, account: Account, *, listener: Listener) -> None:
        self._listener = listener
        self.client = client
        self.account = account
        self.settings = LineSettings.of(account)
        self.codes = CodeLock(account.dtmf.codes)
        self.door = DoorOpener(self)
        self._reception = Reception(self)
        self.hunts: list[Hunt] = []
        self.followers: list[Callable[[PhoneEvent], None]] = []  # who waits for something; see `following`
        self.calls: dict[str, VoIPCall] = {}
        self.registration: RegistrationChanged | None = None
        self._registration_change = asyncio.Event()
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}

    def start(self) -> None:
        """Serve the line, and register it if it has a registrar; MediaError for a codec that there is not."""
        check_codecs(self.account.codecs)
        self.client.add_line(line_of(self.account), self)
        self._prepare_srtp()
        if isinstance(self.account, RegisteredAccount):
            self.register()

    def change(self, account: Account, settings: LineSettings | None = None) -> None:
        """Go by another configuration of the same account: calls that are up go on; errors as `start`.

        It registers anew where that changed, unless `unregister` ended it. ``settings`` None: as configured.
        """
        check_codecs(account.codecs)
        former, self.account = self.account, account
        if account.dtmf.codes != former.dtmf.codes:
            self.codes = CodeLock(account.dtmf.codes)
        if isinstance(account, DirectAccount):
            self.registration = None
        if line_of(account) != line_of(former):
            self.client.change_line(line_of(account))
        if (account.srtp, account.transport) != (former.srtp, former.transport):
            self._prepare_srtp()
        self.use(settings or LineSettings.of(account))

    def use(self, settings: LineSettings) -> None:
        """Go by other settings: a call that is up is as loud at once, one that rings does so for as long."""
        self.settings = settings
        for call in tuple(self.calls.values()):
            call.media.volume = settings.output_volume
            call.ring_for(settings.ring_timeout)

    def _prepare_srtp(self) -> None:
        if self.account.srtp is not SRTPPolicy.OFF:
            new_srtp_context()  # now, and not while somebody waits to be heard
        if self.account.srtp is not SRTPPolicy.OFF and self.account.transport != "tls":
            _LOG.warning(
                "%s: the keys of srtp travel readable over %s: only transport: tls keeps them from others on the way",
                self.account.id,
                self.account.transport,
                extra={"account": self.account.id},
            )

    def leave(self) -> None:
        """Be a phone no more: hang up every call, unsubscribe and deregister.

        A call that still waits for its ACK ends later; the listener hears of it.
        """
        for hunt in tuple(self.hunts):
            hunt.give_up()
        for call in list(self.calls.values()):
            with contextlib.suppress(InvalidStateError):  # the end of another one took it along
                if call.is_ringing:
                    call.reject(SIPStatus.TEMPORARILY_UNAVAILABLE)
                else:
                    call.hangup()
        self.client.remove_line(self.account.id)
        self._abandon(f"there is no account {self.account.id!r} any more")

    def stop(self) -> None:
        """Hang up every call, unsubscribe and deregister; the client waits, bounded, for the answers."""
        for hunt in tuple(self.hunts):
            hunt.give_up()
        for call in list(self.calls.values()):
            call.hangup()
        self.client.endpoint.end_subscriptions(self.account.id, self.client.now)
        self.client.flush()
        if isinstance(self.account, RegisteredAccount):
            self.unregister()

    @property
    def is_in_use(self) -> bool:
        """Whether it has a call, or looks for somebody who takes one."""
        return bool(self.calls or self.hunts)

    def close(self) -> None:
        """See `LineUser`: a call whose last words nobody acknowledged still has its sockets."""
        for call in list(self.calls.values()):  # one with an announcement that is to end with it is over then
            call.media.close()
        self._abandon("the phone has stopped")

    def register(self) -> None:
        """Register now, and stay registered; InvalidStateError for a direct line."""
        self.client.endpoint.register(self.account.id, self.client.now)
        self.client.flush()

    def unregister(self) -> None:
        """Remove the registration until `register`."""
        self.client.endpoint.unregister(self.account.id, self.client.now)
        self.client.flush()

    async def registered(self, *, timeout: float) -> None:  # noqa: ASYNC109  # the registrar's, not this coroutine's
        """Wait until the line is registered; a direct line always is.

        InvalidAccountInfoError when the registrar refuses the account, TimeoutError after ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            while not self.is_registered:
                self._raise_if_refused()
                self._registration_change.clear()
                await self._registration_change.wait()

    def _raise_if_refused(self) -> None:
        told = self.registration
        if told is not None and told.account_refused:
            raise InvalidAccountInfoError(f"{self.account.id}: the registrar refused the account: {told.phrase}")

    @property
    def is_registered(self) -> bool:
        """Whether calls can come and go; a direct line needs no registration."""
        if isinstance(self.account, DirectAccount):
            return True
        return self.registration is not None and self.registration.state is RegistrationState.REGISTERED

    async def dial(
        self,
        target: str,
        *,
        timeout: float,  # noqa: ASYNC109  # ringing time, not this coroutine's
        from_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        announcement: Announcement | None = None,
        replaces: str | None = None,
        referrer: VoIPCall | None = None,
        codecs: tuple[str, ...] | None = None,
    ) -> VoIPCall:
        """Place a call to a number or SIP URI; it is given up after ``timeout`` seconds without an answer.

        ``codecs`` are offered instead of the account's.
        """
        self.require_lines(1)
        endpoint = self.client.endpoint
        hop = endpoint.first_hop(self.account.id, target)
        if hop.host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
            raise LocalProtocolError("that address is nobody's")
        flow = await self.client.flow_towards(hop)
        media = self.media_session(flow, codecs=codecs)
        await media.open()
        try:
            call_id = endpoint.invite(
                self.account.id,
                target,
                media.create_offer(),
                self.client.now,
                from_name=from_name,
                headers=headers,
                replaces=replaces,
                allows=self._may_follow,
            )
        except BaseException:
            media.close()
            raise
        call = VoIPCall(
            self,
            call_id=call_id,
            is_incoming=False,
            remote=NameAddr(uri=target),
            media=media,
            announcement=announcement,
            referrer=referrer,
        )
        self.calls[call_id] = call
        call.give_up_after(timeout)
        self.client.flush()
        return call

    def require_lines(self, count: int) -> None:
        """BusyError when not so many calls more may be placed now."""
        if sum(not call.is_incoming for call in self.calls.values()) + count > MAX_OUTGOING:
            raise BusyError(f"at most {MAX_OUTGOING} calls may be placed at a time")

    async def send_message(
        self, target: str, text: str, *, content_type: str = "text/plain"
    ) -> MessageSent | MessageFailed:
        """Send a text to a number or SIP URI and wait, 32 s at the most for each address, for what becomes of it."""
        endpoint, line = self.client.endpoint, self.account.id
        outcome = await self._outcome(
            lambda: endpoint.send_message(line, target, text, self.client.now, content_type=content_type)
        )
        assert isinstance(outcome, MessageSent | MessageFailed)  # noqa: S101  # the id is the message's
        return outcome

    async def send_options(self, target: str) -> OptionsAnswered | OptionsFailed:
        """Ask a peer whether it is there and what it can do."""
        endpoint = self.client.endpoint
        outcome = await self._outcome(lambda: endpoint.send_options(self.account.id, target, self.client.now))
        assert isinstance(outcome, OptionsAnswered | OptionsFailed)  # noqa: S101  # the id is the query's
        return outcome

    def subscribe(self, target: str, package: str = "dialog") -> str:
        """Follow somebody's calls until `unsubscribe`: the listener hears `DialogStateReceived`. Returns an id."""
        subscription = self.client.endpoint.subscribe(self.account.id, target, package, self.client.now)
        self.client.flush()
        return subscription

    def unsubscribe(self, subscription: str) -> None:
        """End a subscription; InvalidStateError when there is none of that id."""
        self.client.endpoint.unsubscribe(subscription, self.client.now)
        self.client.flush()

    async def _outcome(self, send: Callable[[], str]) -> Outcome:
        if len(self._outcomes) >= MAX_REQUESTS:
            raise BusyError(f"{MAX_REQUESTS} requests wait for their answer already")
        request = send()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._outcomes[request] = outcome
        try:
            self.client.flush()
            return await outcome
        finally:
            del self._outcomes[request]

    def _settle(self, request: str, outcome: Outcome) -> None:
        """Whoever waited may have been cancelled."""
        waiting = self._outcomes.get(request)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def _abandon(self, why: str) -> None:
        """Nothing that is still to come will be answered."""
        for waiting in self._outcomes.values():
            if not waiting.done():
                waiting.set_exception(InvalidStateError(why))

    def may_dial(self, target: str) -> bool:
        """Whether the account lets a number or SIP URI be called; see `screening`."""
        return may_dial(self.account, target)

    def _may_follow(self, uri: SIPURI) -> bool:
        """Whether a redirection may lead there: a number of ours by its number, anything else as it stands."""
        is_ours = isinstance(self.account, RegisteredAccount) and uri.host == self.account.server.lower()
        return self.may_dial(uri.user or "") if is_ours else self.may_dial(uri.format())

    async def follow_transfer(self, referrer: VoIPCall, target: str, replaces: str | None) -> None:
        """Call whom the other party of a call named, and report to it how that goes."""
        try:
            await self.dial(target, timeout=TRANSFER_TIMEOUT, replaces=replaces, referrer=referrer)
        except SipBridgeError as error:
            about = {"account": self.account.id, "call_id": referrer.call_id}
            _LOG.warning("%s: the transfer to %s failed: %s", self.account.id, target, error, extra=about)
            referrer.transfers.report(SIPStatus.SERVICE_UNAVAILABLE)
            self.client.flush()

    # --- what the core tells ---

    def handle(self, event: Event) -> None:
        """See `LineUser`."""
        match event:
            case RegistrationChanged():
                self.registration = event
                self._registration_change.set()
                self.tell(event)
            case MessageSent(message=request) | MessageFailed(message=request):
                self._settle(request, event)
            case OptionsAnswered(query=request) | OptionsFailed(query=request):
                self._settle(request, event)
            case MessageReceived() | MessagesWaiting() | SubscriptionChanged() | DialogStateReceived():
                self.tell(event)
            case CallReceived():
                self._reception.receive(event)
            case CallPlaced(call=call_id, remote=remote):
                self.calls[call_id].remote = remote
                self.tell(CallChanged(call=self.calls[call_id]))
            case _:
                self.calls[event.call].handle(event)

    # --- for its calls ---

    def media_session(
        self, flow: Flow, named: str | None = None, *, codecs: tuple[str, ...] | None = None
    ) -> MediaSession:
        """The sound of a new call; ``named`` is where the other party wants to hear us, as far as that is known."""
        local_host, told = self.client.transports.media_hosts(flow, named)
        session = MediaSession(
            local_host=local_host,
            advertised_host=told,
            ports=self.client.ports,
            pacer=self.client.pacer,
            codecs=codecs or self.account.codecs,
            srtp=self.account.srtp,
            signalling_host=flow.remote[0],
            media=self.client.media,
        )
        session.volume = self.settings.output_volume
        return session

    def tell(self, event: PhoneEvent) -> None:
        """Tell the listener, and whoever waits for news."""
        self._listener(self, event)
        for follower in tuple(self.followers):
            follower(event)

    def finished(self, event: CallFinished) -> None:
        """A call is over."""
        del self.calls[event.call.call_id]
        self.client.forget_call(event.call.call_id)
        self.tell(event)

    def start_task(self, work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
        """Run something for a call; it is owned by the client."""
        return self.client.start_task(work, name=name)
