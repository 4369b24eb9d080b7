"""From the phone's words to the contract's. Pure functions."""

from sip_bridge.media.rtp import ReceptionStatistics
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import CallFinished, CallLimit, HuntEnded
from sip_bridge.phone.settings import Account, DirectAccount, LineSettings, RegisteredAccount
from sip_bridge.sip.events import EndCause, RegistrationChanged, RegistrationState
from sip_bridge.sip.fields import NameAddr
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.uri import user_of

_BUSY = frozenset({SIPStatus.BUSY_HERE, SIPStatus.BUSY_EVERYWHERE})
_DECLINED = frozenset({SIPStatus.DECLINE, SIPStatus.UNWANTED, SIPStatus.REJECTED})
_NO_ANSWER = frozenset({SIPStatus.REQUEST_TIMEOUT, SIPStatus.TEMPORARILY_UNAVAILABLE, SIPStatus.REQUEST_TERMINATED})

# Of several calls the line shows the state that matters most.
_PRECEDENCE = (
    contract.CallState.IN_CALL,
    contract.CallState.ON_HOLD,
    contract.CallState.EARLY_MEDIA,
    contract.CallState.RINGING,
    contract.CallState.DIALING,
)


def printable(text: str) -> str:
    """Text of a peer as JSON can carry it: bytes that were no UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def call_state(state: CallState) -> contract.CallState:
    """A call's state in the contract's words."""
    match state:
        case CallState.DIALING:
            return contract.CallState.DIALING
        case CallState.RINGING:
            return contract.CallState.RINGING
        case CallState.EARLY_MEDIA:
            return contract.CallState.EARLY_MEDIA
        case CallState.IN_CALL:
            return contract.CallState.IN_CALL
        case CallState.ON_HOLD:
            return contract.CallState.ON_HOLD
        case CallState.ENDED:
            return contract.CallState.IDLE


def remote(call: VoIPCall) -> contract.Remote:
    """The other party of a call."""
    return party(call.remote)


def party(address: NameAddr) -> contract.Remote:
    """An address as the contract shows it."""
    name = address.display_name
    user = user_of(address.uri)
    return contract.Remote(
        uri=printable(address.uri),
        user=printable(user) if user is not None else None,
        name=printable(name) if name else None,
    )


def direction(call: VoIPCall) -> contract.Direction:
    """Who called whom."""
    return contract.Direction.INCOMING if call.is_incoming else contract.Direction.OUTGOING


def call_info(call: VoIPCall) -> contract.CallInfo:
    """One live call."""
    return contract.CallInfo(
        call_id=printable(call.call_id),
        direction=direction(call),
        state=call_state(call.state),
        remote=remote(call),
        started_at=contract.rfc3339(call.started_at),
        answered_at=contract.rfc3339(call.answered_at) if call.answered_at is not None else None,
        codec=call.media.codec,
        muted=call.media.muted,
        encrypted=call.media.encrypted,
        recording=call.recording.is_running,
        joined_to=_joined_to(call),
        playing=call.media.is_playing,
    )


def _joined_to(call: VoIPCall) -> str | None:
    other = call.connections.joined_to
    return None if other is None else printable(other.call_id)


def snapshot(calls: list[VoIPCall]) -> contract.CallSnapshot:
    """The line's state and every live call."""
    infos = tuple(call_info(call) for call in calls)
    states = {info.state for info in infos}
    state = next((state for state in _PRECEDENCE if state in states), contract.CallState.IDLE)
    return contract.CallSnapshot(state=state, calls=infos)


def end_reason(finished: CallFinished) -> contract.EndReason:
    """Why a call ended, in the contract's closed set."""
    if finished.refusal is not None:
        return contract.EndReason.DECLINED
    match finished.limit:
        case CallLimit.NO_ANSWER:
            return contract.EndReason.NO_ANSWER
        case CallLimit.MAX_DURATION:
            return contract.EndReason.TIMEOUT
        case CallLimit.MEDIA_LOST:
            return contract.EndReason.MEDIA_LOST
        case None:
            return _reason_of_peer(finished)


def _reason_of_peer(finished: CallFinished) -> contract.EndReason:
    match finished.cause:
        case EndCause.HANGUP_LOCAL:
            return contract.EndReason.HANGUP_LOCAL
        case EndCause.HANGUP_REMOTE:
            return contract.EndReason.HANGUP_REMOTE
        case EndCause.CANCELED:
            return contract.EndReason.CANCELED
        case EndCause.ANSWERED_ELSEWHERE:
            return contract.EndReason.ANSWERED_ELSEWHERE
        case EndCause.TIMEOUT:
            return contract.EndReason.TIMEOUT
        case EndCause.UNREACHABLE:
            return contract.EndReason.FAILED
        case EndCause.REJECTED:
            return _rejection(finished)


def _rejection(finished: CallFinished) -> contract.EndReason:
    status = finished.status
    if status in _BUSY or status in _DECLINED:
        was_busy = status in _BUSY and not finished.call.is_incoming
        return contract.EndReason.BUSY if was_busy else contract.EndReason.DECLINED
    if status in _NO_ANSWER:
        return contract.EndReason.NO_ANSWER
    return contract.EndReason.FAILED


# Of several phones that did not take a call, the reason that says most about the people.
_TELLING = (
    contract.EndReason.NO_ANSWER,
    contract.EndReason.DECLINED,
    contract.EndReason.BUSY,
)


def hunt_reason(ended: HuntEnded) -> contract.EndReason | None:
    """Why nobody has the call; None when somebody has."""
    if ended.winner is not None:
        return None
    if ended.given_up is not None:
        was_answered = ended.given_up is EndCause.ANSWERED_ELSEWHERE
        return contract.EndReason.ANSWERED_ELSEWHERE if was_answered else contract.EndReason.CANCELED
    reasons = {end_reason(call.finished) for call in ended.calls if call.finished is not None}
    if contract.EndReason.HANGUP_REMOTE in reasons:  # instead of accepting
        reasons.add(contract.EndReason.DECLINED)
    return next((reason for reason in _TELLING if reason in reasons), contract.EndReason.FAILED)


def registration_state(account: Account, change: RegistrationChanged | None) -> contract.RegistrationState:
    """Where an account's registration stands."""
    if isinstance(account, DirectAccount):
        return contract.RegistrationState.DISABLED
    if change is None:
        return contract.RegistrationState.UNREGISTERED
    match change.state:
        case RegistrationState.REGISTERING:
            return contract.RegistrationState.REGISTERING
        case RegistrationState.REGISTERED:
            return contract.RegistrationState.REGISTERED
        case RegistrationState.UNREGISTERED:
            return contract.RegistrationState.UNREGISTERED
        case RegistrationState.FAILED:
            return contract.RegistrationState.FAILED


def registration(account: Account, change: RegistrationChanged | None, now: float) -> contract.Registration:
    """The retained registration topic."""
    has_end = change is not None and change.expires_in is not None
    return contract.Registration(
        state=registration_state(account, change),
        status=int(change.status) if change is not None and change.status is not None else None,
        phrase=printable(change.phrase) if change is not None and change.phrase else None,
        expires_at=contract.rfc3339(now + change.expires_in) if has_end and change and change.expires_in else None,
    )


def settings(line: LineSettings) -> contract.Settings:
    """The retained settings topic."""
    return contract.Settings(
        do_not_disturb=line.do_not_disturb,
        auto_answer=line.auto_answer,
        output_volume=line.output_volume,
        ring_timeout=line.ring_timeout,
        dtmf_method=contract.DTMFChoice(line.dtmf_method),
    )


def account_info(account: Account) -> contract.AccountInfo:
    """One line of the inventory."""
    match account:
        case DirectAccount():
            kind, uri = contract.AccountKind.DIRECT, f"sip:{account.user}"
        case RegisteredAccount():
            kind, uri = contract.AccountKind.REGISTERED, f"sip:{account.user}@{account.server}"
    contacts = tuple(
        contract.Contact(name=each.name, number=each.number, numbers=each.numbers if each.also else ())
        for each in account.contacts
    )
    return contract.AccountInfo(
        id=account.id, name=account.name, uri=uri, kind=kind, contacts=contacts, door_code=account.door is not None
    )


def quality(statistics: ReceptionStatistics) -> contract.RTPQuality:
    """A call's audio figures."""

    def rounded(figure: float | None) -> float | None:
        return None if figure is None else round(figure, 2)

    return contract.RTPQuality(
        sent=statistics.packets_sent,
        packets=statistics.packets_received,
        lost=statistics.packets_lost,
        late=statistics.packets_late,
        jitter_ms=round(statistics.jitter_ms, 2),
        round_trip_ms=rounded(statistics.round_trip_ms),
        mos=rounded(statistics.mos),
        remote_lost=statistics.remote_lost,
        remote_jitter_ms=rounded(statistics.remote_jitter_ms),
    )
