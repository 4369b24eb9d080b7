"""Phone events to MQTT: what is retained, what is told once, in the order in which it happened."""

import secrets
from collections.abc import Mapping
from itertools import count
from typing import Any, Final, Protocol

from sip_bridge.bridge import translate
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import Topics
from sip_bridge.phone.call import VoIPCall
from sip_bridge.phone.events import (
    CallChanged,
    CallFinished,
    DoorOpened,
    DTMFEntered,
    DTMFPressed,
    HuntEnded,
    LineEvent,
    MediaFound,
    MediaLost,
    PhoneEvent,
    PlaybackEnded,
    RecordingEnded,
)
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.sip.events import (
    CallSignaled,
    DialogStateReceived,
    MessageReceived,
    MessagesWaiting,
    RegistrationChanged,
    SubscriptionChanged,
)

# What a bridge that starts anew can't know.
_KEPT: Final[Mapping[str, type[object]]] = {
    "last_call": contract.CallEndedEvent,
    "messages": contract.WaitingMessages,
}


class Clock(Protocol):
    """Where "now" comes from: Unix seconds."""

    def __call__(self) -> float:
        """Now."""


class Outlet(Protocol):
    """Where messages go; see `MQTTSession`."""

    def publish(self, topic: str, payload: str, *, qos: int = 1, retain: bool = False, keep: bool = False) -> None:
        """Publish once, in order; ``keep``: also if the bridge ends before the broker has it."""

    def retain(self, topic: str, payload: str, *, keep: bool = False) -> None:
        """Publish retained, and again after each reconnect; ``keep``: `former` tells it to the next run."""

    def former(self, topic: str) -> bytes | None:
        """What a former run kept of a retained topic."""


class Publisher:
    """Keeps the retained topics true and tells events."""

    def __init__(self, outlet: Outlet, topics: Topics, *, clock: Clock) -> None:
        self._outlet = outlet
        self._topics = topics
        self._clock = clock
        self._seq = count(1)
        self._shown: dict[str, object] = {}
        self._discovered: dict[str, str] = {}  # payloads of Home Assistant's discovery
        self.session = secrets.token_hex(8)
        self.started_at = clock()

    # --- retained ---

    def show(self, topic: str, payload: object, *, keep: bool = False) -> None:
        """Retain a payload, if it says something new; ``keep``: the next run can't know it, and shows it again."""
        if self._shown.get(topic) != payload:
            self._shown[topic] = payload
            ts = None if isinstance(payload, contract.Discovery) else self._clock()
            self._outlet.retain(topic, contract.encode(payload, ts), keep=keep)

    def show_bridge(
        self, *, name: str, version: str, phones: Mapping[str, VoIPPhone], config: Mapping[str, Any]
    ) -> None:
        """Everything that is known at the start."""
        topics = self._topics
        self.show(topics.discovery, contract.Discovery(bridge=topics.bridge, name=name, base_topic=topics.base))
        verbs = (*contract.ACCOUNT_VERBS, *contract.BRIDGE_VERBS)
        info = contract.BridgeInfo(
            name=name,
            version=version,
            session=self.session,
            started_at=contract.rfc3339(self.started_at),
            capabilities=verbs,
            config=config,
        )
        self.show(topics.of_bridge("info"), info)
        accounts = tuple(translate.account_info(phone.account) for phone in phones.values())
        self.show(topics.of_bridge("accounts"), contract.Accounts(accounts=accounts))
        for phone in phones.values():
            self.show_registration(phone)
            self.show_calls(phone)
            self.show_settings(phone)
            for kind, payload_class in _KEPT.items():
                self._show_former(topics.of_account(phone.account.id, kind), payload_class)

    def show_discovery(self, payloads: Mapping[str, str]) -> None:
        """Retain Home Assistant's discovery as it is now; clear what is no longer in it."""
        for topic in self._discovered.keys() - payloads.keys():
            self._outlet.retain(topic, "")
        for topic, payload in payloads.items():
            if self._discovered.get(topic) != payload:
                self._outlet.retain(topic, payload)
        self._discovered = dict(payloads)

    def _show_former(self, topic: str, payload_class: type[object]) -> None:
        """Show what a former run kept, as it was written; what this version can't read is worth nothing."""
        payload = self._outlet.former(topic)
        if payload is None:
            return
        try:
            self._shown[topic] = contract.decode(payload_class, payload)
        except contract.ContractError:
            return
        self._outlet.retain(topic, payload.decode(), keep=True)

    def show_registration(self, phone: VoIPPhone) -> None:
        """The registration of one account."""
        payload = translate.registration(phone.account, phone.registration, self._clock())
        self.show(self._topics.of_account(phone.account.id, "registration"), payload)

    def show_calls(self, phone: VoIPPhone) -> None:
        """The calls of one account."""
        payload = translate.snapshot(list(phone.calls.values()))
        self.show(self._topics.of_account(phone.account.id, "call"), payload)

    def show_settings(self, phone: VoIPPhone) -> None:
        """The settings of one account."""
        self.show(self._topics.of_account(phone.account.id, "settings"), translate.settings(phone.settings))

    def forget(self, account: str) -> None:
        """The account is gone: its topics are cleared, those of an earlier run too."""
        for kind in contract.RETAINED_OF_ACCOUNT:
            topic = self._topics.of_account(account, kind)
            self._shown.pop(topic, None)
            self._outlet.retain(topic, "")

    # --- events ---

    def tell(self, phone: VoIPPhone, event: PhoneEvent) -> None:
        """Something happened on a phone."""
        match event:
            case CallSignaled():
                self._signaled(phone, event)
            case CallFinished():
                self._finished(phone, event)
            case DTMFPressed():
                self._pressed(phone, event)
            case DTMFEntered():
                self._entered(phone, event)
            case DoorOpened(call=call, by=by):
                fields = self._of_call(phone, call, "DOOR_OPENED") | {"origin": contract.Origin.LOCAL}
                self._emit(phone, contract.DoorOpenedEvent(**fields, by=contract.DoorOpening(by)))
            case HuntEnded():
                self._hunted(phone, event)
            case PlaybackEnded():
                self._played(phone, event)
            case RecordingEnded():
                self._recorded(phone, event)
            case MediaLost(call=call, seconds=seconds):
                fields = self._of_call(phone, call, "MEDIA_LOST") | {"origin": contract.Origin.LOCAL}
                self._emit(phone, contract.MediaLostEvent(**fields, silent_seconds=round(seconds, 3)))
            case MediaFound():
                pass  # the contract has no word for it
            case CallChanged():
                self.show_calls(phone)
            case _:
                self._tell_of_line(phone, event)

    def _tell_of_line(self, phone: VoIPPhone, event: LineEvent) -> None:
        match event:
            case RegistrationChanged():
                self._registration_changed(phone, event)
            case MessageReceived():
                self._message_received(phone, event)
            case MessagesWaiting(waiting=waiting, new=new, old=old):
                payload = contract.WaitingMessages(waiting=waiting, new=new, old=old)
                self.show(self._topics.of_account(phone.account.id, "messages"), payload, keep=True)
            case SubscriptionChanged() | DialogStateReceived():
                pass  # the contract has no word for them

    def _signaled(self, phone: VoIPPhone, event: CallSignaled) -> None:
        call = phone.calls[event.call]
        name = event.method if event.status is None else event.status.name
        fields = self._of_call(phone, call, name)
        fields |= {
            "origin": contract.Origin(event.origin),
            "method": event.method,
            "status": int(event.status) if event.status is not None else None,
            "phrase": translate.printable(event.phrase) if event.phrase else None,
            "description": event.status.description if event.status is not None else None,
        }
        self.show_calls(phone)
        self._emit(phone, contract.Event(**fields))

    def _finished(self, phone: VoIPPhone, event: CallFinished) -> None:
        call = event.call
        fields = self._of_call(phone, call, "CALL_ENDED")
        fields |= {
            "status": int(event.status) if event.status is not None else None,
            "phrase": translate.printable(event.phrase) if event.phrase else None,
        }
        ended = contract.CallEndedEvent(
            **fields,
            end_reason=translate.end_reason(event),
            refusal=contract.Refusal(event.refusal) if event.refusal is not None else None,
            q850=event.q850,
            started_at=contract.rfc3339(call.started_at),
            ring_seconds=round(call.ring_seconds, 3),
            talk_seconds=round(call.talk_seconds, 3),
            quality=translate.quality(call.media.statistics) if call.answered_at is not None else None,
        )
        self.show(self._topics.of_account(phone.account.id, "last_call"), ended, keep=True)
        self.show_calls(phone)
        self._emit(phone, ended, keep=True)

    def _pressed(self, phone: VoIPPhone, event: DTMFPressed) -> None:
        fields = self._of_call(phone, event.call, "DTMF") | {"origin": contract.Origin.REMOTE}
        self._emit(
            phone,
            contract.DTMFEvent(
                **fields,
                digits=_shown(event.digit, phone, event.call),
                dtmf_method=contract.DTMFMethod(event.method),
                duration_ms=event.duration_ms,
            ),
        )

    def _entered(self, phone: VoIPPhone, event: DTMFEntered) -> None:
        fields = self._of_call(phone, event.call, "DTMF_SEQUENCE") | {"origin": contract.Origin.REMOTE}
        self._emit(
            phone,
            contract.DTMFSequenceEvent(
                **fields,
                digits=_shown(event.digits, phone, event.call),
                dtmf_method=contract.DTMFMethod(event.method),
                ended_by=contract.SequenceEnd(event.ended_by),
                code=event.code,
                locked=event.locked,
            ),
        )

    def _hunted(self, phone: VoIPPhone, event: HuntEnded) -> None:
        winner = event.winner
        of_whom = self._of_line(phone, "HUNT_DONE") if winner is None else self._of_call(phone, winner, "HUNT_DONE")
        fields = of_whom | {"origin": contract.Origin.LOCAL}
        calls = tuple(translate.printable(call.call_id) for call in event.calls)
        self._emit(phone, contract.HuntDoneEvent(**fields, calls=calls, end_reason=translate.hunt_reason(event)))

    def _played(self, phone: VoIPPhone, event: PlaybackEnded) -> None:
        self.show_calls(phone)
        fields = self._of_call(phone, event.call, "PLAYBACK_DONE") | {"origin": contract.Origin.LOCAL}
        self._emit(
            phone,
            contract.PlaybackDoneEvent(**fields, source=event.source, completed=event.completed, error=event.error),
        )

    def _recorded(self, phone: VoIPPhone, event: RecordingEnded) -> None:
        fields = self._of_call(phone, event.call, "RECORDING_DONE") | {"origin": contract.Origin.LOCAL}
        self._emit(
            phone,
            contract.RecordingDoneEvent(
                **fields,
                file=event.file,
                seconds=round(event.seconds, 3),
                size=event.size,
                reason=contract.RecordingEnd(event.reason),
                error=event.error,
                missed_seconds=round(event.missed_seconds, 3),
            ),
        )

    def _message_received(self, phone: VoIPPhone, event: MessageReceived) -> None:
        fields = self._of_line(phone, "MESSAGE") | {
            "origin": contract.Origin.REMOTE,
            "method": "MESSAGE",
            "remote": translate.party(event.remote),
        }
        text = translate.printable(event.text)
        self._emit(phone, contract.MessageEvent(**fields, text=text, content_type=event.content_type))

    def _registration_changed(self, phone: VoIPPhone, event: RegistrationChanged) -> None:
        topic = self._topics.of_account(phone.account.id, "registration")
        before = self._shown.get(topic)
        self.show_registration(phone)
        state = translate.registration_state(phone.account, event)
        if isinstance(before, contract.Registration) and before.state is state:
            return  # a refresh: the retained topic has the new end, an event would be noise
        fields = self._of_line(phone, "REGISTRATION_CHANGED") | {
            "status": int(event.status) if event.status is not None else None,
            "phrase": translate.printable(event.phrase) if event.phrase else None,
        }
        self._emit(phone, contract.RegistrationChangedEvent(**fields, registration=state))

    def _of_line(self, phone: VoIPPhone, name: str) -> dict[str, Any]:
        seq = next(self._seq)
        return {
            "event": name,
            "event_id": f"{self.session}-{seq}",
            "seq": seq,
            "session": self.session,
            "account": phone.account.id,
            "state": translate.snapshot(list(phone.calls.values())).state,
        }

    def _of_call(self, phone: VoIPPhone, call: VoIPCall, name: str) -> dict[str, Any]:
        return self._of_line(phone, name) | {
            "call_id": translate.printable(call.call_id),
            "direction": translate.direction(call),
            "remote": translate.remote(call),
        }

    def _emit(self, phone: VoIPPhone, event: contract.Event, *, keep: bool = False) -> None:
        topic = self._topics.of_account(phone.account.id, "event", event.event)
        self._outlet.publish(topic, contract.encode(event, self._clock()), keep=keep)


def _shown(digits: str, phone: VoIPPhone, call: VoIPCall) -> str:
    """Digits as the account lets them be seen."""
    return contract.MASKED * len(digits) if phone.account.dtmf.is_masked or call.hides_keys else digits
