"""What the operator reads in the log: a line a call and a line a change of registration, no more."""

import logging

from sip_bridge.bridge import translate
from sip_bridge.phone.call import VoIPCall
from sip_bridge.phone.events import CallFinished, DTMFEntered, PhoneEvent, RecordingEnded
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.sip.events import (
    CallSignaled,
    RegistrationChanged,
    RegistrationState,
    SubscriptionChanged,
    SubscriptionState,
)

_LOG = logging.getLogger("sip_bridge.calls")


class Journal:
    """Writes log lines about phones; of a registration only what is new."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[object, ...]] = {}
        self._locked: set[str] = set()  # accounts at which codes were tried, until a right one comes

    def tell(self, phone: VoIPPhone, event: PhoneEvent) -> None:
        """Something happened on a phone."""
        match event:
            case CallSignaled(method="INVITE", status=None, call=call_id):
                call = phone.calls[call_id]
                _say(phone, logging.INFO, "call from %s" if call.is_incoming else "call to %s", _uri(call), call=call)
            case CallFinished(call=call, refusal=str(refusal), status=status):
                _say(phone, logging.INFO, "refused %s, %s: %s", _uri(call), refusal, status, call=call)
            case CallFinished(call=call, status=status):
                answer = f", {status}" if status is not None else ""
                talked = f" after {call.talk_seconds:.0f} s" if call.answered_at is not None else ""
                reason = translate.end_reason(event)
                _say(phone, logging.INFO, "call ended%s: %s%s", talked, reason, answer, call=call)
            case RecordingEnded(call=call, error=str(error)):
                _say(phone, logging.WARNING, "the recording of a call ended: %s", error, call=call)
            case RecordingEnded(call=call, file=file, missed_seconds=missed) if missed:
                _say(phone, logging.WARNING, "the disk was too slow for %.0f s of %s", missed, file, call=call)
            case DTMFEntered(locked=True):
                self._codes_locked(phone)
            case DTMFEntered(code=str()):
                self._locked.discard(phone.account.id)
            case RegistrationChanged():
                self._registration(phone, event)
            case SubscriptionChanged(state=SubscriptionState.FAILED | SubscriptionState.REFUSED):
                why = event.status if event.status is not None else event.reason or "no answer"
                _say(phone, logging.WARNING, "no %s from the PBX: %s; trying on", event.package, why)
            case _:
                pass

    def forget(self, account: str) -> None:
        """The account is gone; one of the same id is another one."""
        self._said.pop(account, None)
        self._locked.discard(account)

    def _codes_locked(self, phone: VoIPPhone) -> None:
        if phone.account.id not in self._locked:
            _say(phone, logging.WARNING, "too many wrong codes: a new one is taken only each minute")
        self._locked.add(phone.account.id)

    def _registration(self, phone: VoIPPhone, event: RegistrationChanged) -> None:
        account = phone.account.id
        said = (event.state, event.status)
        if event.state is RegistrationState.REGISTERING or self._said.get(account) == said:
            return
        self._said[account] = said
        answer = event.status if event.status is not None else "no answer"
        if event.account_refused:
            text = "the registrar refuses user name or password (%s): not tried again"
            _say(phone, logging.ERROR, text, answer)
        elif event.state is RegistrationState.FAILED:
            _say(phone, logging.WARNING, "not registered: %s; trying on", answer)
        else:
            _say(phone, logging.INFO, "%s", event.state.name.lower())


def _say(phone: VoIPPhone, level: int, text: str, *args: object, call: VoIPCall | None = None) -> None:
    """A line that a person finds by the account in front and the call at the end, a program by their keys."""
    about = {"account": phone.account.id}
    ends: tuple[object, ...] = ()
    if call is not None:
        about["call_id"] = translate.printable(call.call_id)
        text, ends = f"{text} (%s)", (call.call_id,)
    _LOG.log(level, f"%s: {text}", phone.account.id, *args, *ends, extra=about)  # both are templates


def _uri(call: VoIPCall) -> str:
    return translate.remote(call).uri
