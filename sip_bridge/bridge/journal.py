"""What the operator reads in the log: a line a call and a line a change of registration, no more."""

import logging

from sip_bridge.bridge import translate
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
                way = "from" if call.is_incoming else "to"
                _LOG.info("%s: call %s %s (%s)", phone.account.id, way, translate.remote(call).uri, call_id)
            case CallFinished(call=call, status=status):
                reason = translate.end_reason(event)
                answer = f", {status}" if status is not None else ""
                talked = f" after {call.talk_seconds:.0f} s" if call.answered_at is not None else ""
                _LOG.info("%s: call ended%s: %s%s (%s)", phone.account.id, talked, reason, answer, call.call_id)
            case RecordingEnded(call=call, error=str(error)):
                _LOG.warning("%s: the recording of a call ended: %s (%s)", phone.account.id, error, call.call_id)
            case RecordingEnded(file=file, missed_seconds=missed) if missed:
                _LOG.warning("%s: the disk was too slow for %.0f s of %s", phone.account.id, missed, file)
            case DTMFEntered(locked=True):
                self._codes_locked(phone.account.id)
            case DTMFEntered(code=str()):
                self._locked.discard(phone.account.id)
            case RegistrationChanged():
                self._registration(phone, event)
            case SubscriptionChanged(state=SubscriptionState.FAILED | SubscriptionState.REFUSED):
                why = event.status if event.status is not None else event.reason or "no answer"
                _LOG.warning("%s: no %s from the PBX: %s; trying on", phone.account.id, event.package, why)
            case _:
                pass

    def forget(self, account: str) -> None:
        """The account is gone; one of the same id is another one."""
        self._said.pop(account, None)
        self._locked.discard(account)

    def _codes_locked(self, account: str) -> None:
        if account not in self._locked:
            _LOG.warning("%s: too many wrong codes: a new one is taken only each minute", account)
        self._locked.add(account)

    def _registration(self, phone: VoIPPhone, event: RegistrationChanged) -> None:
        account = phone.account.id
        said = (event.state, event.status)
        if event.state is RegistrationState.REGISTERING or self._said.get(account) == said:
            return
        self._said[account] = said
        if event.account_refused:
            _LOG.error("%s: the registrar refuses user name or password (%s): not tried again", account, event.status)
        elif event.state is RegistrationState.FAILED:
            answer = event.status if event.status is not None else "no answer"
            _LOG.warning("%s: not registered: %s; trying on", account, answer)
        else:
            _LOG.info("%s: %s", account, event.state.name.lower())
