"""Commands over MQTT to phone calls: decode, choose the call, do it, answer."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from sip_bridge.bridge import dialling, translate
from sip_bridge.bridge.repeats import Repeats
from sip_bridge.bridge.settings_store import RANGES
from sip_bridge.bridge.trace import MAX_SECONDS as MAX_TRACE
from sip_bridge.errors import (
    BusyError,
    ConfigError,
    InvalidStateError,
    LocalProtocolError,
    MediaError,
    NegotiationError,
    NoPortsAvailableError,
    NotAllowedError,
    RequestRefusedError,
    SipBridgeError,
    TransportError,
)
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.contract import AccountRequest, ErrorCode, Response
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.events import SendMethod
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import LineSettings
from sip_bridge.sip.events import MessageSent
from sip_bridge.sip.status import SIPStatus

# What an exception of the phone means to the sender of a request; the first class that fits wins.
_CODES: Final[tuple[tuple[type[SipBridgeError], ErrorCode], ...]] = (
    (LocalProtocolError, ErrorCode.INVALID_PAYLOAD),
    (BusyError, ErrorCode.BUSY),
    (ConfigError, ErrorCode.INVALID_PAYLOAD),
    (NotAllowedError, ErrorCode.NOT_ALLOWED),
    (InvalidStateError, ErrorCode.WRONG_STATE),
    (MediaError, ErrorCode.MEDIA_ERROR),
    (NegotiationError, ErrorCode.MEDIA_ERROR),
    (NoPortsAvailableError, ErrorCode.BUSY),
    (TransportError, ErrorCode.SIP_ERROR),
    (RequestRefusedError, ErrorCode.SIP_ERROR),
)


class RequestError(SipBridgeError):
    """A request that is not done, with the code that its sender gets."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class BridgeOrders(Protocol):
    """What can be asked of the bridge as a whole."""

    async def change_settings(self, phone: VoIPPhone, settings: LineSettings) -> None:
        """Have a phone go by these from now on, after the next start, too."""

    def health(self) -> contract.Health:
        """How it is."""

    def show_messages(self, seconds: float) -> None:
        """Show SIP messages for so long; 0 ends it."""

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again and say what that changed; ConfigError when it is wrong."""

    def change_log_level(self, level: str) -> None:
        """Log so much from now on."""

    async def restart(self) -> None:
        """Begin anew as soon as this was answered; ConfigError when that would fail."""


class Requests:
    """Carries requests out. ``answer`` never raises: whatever goes wrong becomes an error response."""

    def __init__(
        self,
        phones: Mapping[str, VoIPPhone],
        *,
        bridge: BridgeOrders,
        clock: Callable[[], float],
    ) -> None:
        self._phones = phones
        self._bridge = bridge
        self._clock = clock
        self._repeats = Repeats(clock)

    async def answer_account(self, account: str, verb: str, payload: bytes) -> Response:
        """The response to ``account/<id>/request/<verb>``."""
        transaction = contract.transaction_of(payload)
        answer = partial(self._answer_account, account, verb, payload, transaction)
        return await self._repeats.once((account, verb, transaction), answer)

    async def answer_bridge(self, verb: str, payload: bytes) -> Response:
        """The response to ``request/<verb>``."""
        transaction = contract.transaction_of(payload)
        answer = partial(self._answer_bridge, verb, payload, transaction)
        return await self._repeats.once((None, verb, transaction), answer)

    async def _answer_account(self, account: str, verb: str, payload: bytes, transaction: str | None) -> Response:
        phone = self._phones.get(account)
        if phone is None:
            return Response.failed(ErrorCode.UNKNOWN_ACCOUNT, f"there is no account {account!r}", transaction)
        if verb not in contract.ACCOUNT_VERBS:
            return Response.failed(ErrorCode.UNKNOWN_VERB, f"there is no verb {verb!r}", transaction)
        try:
            request = contract.decode_account_request(verb, payload)
            self._check_expiry(request)
            data = await self._do(phone, request)
        except contract.ContractError as error:
            return Response.failed(ErrorCode.INVALID_PAYLOAD, str(error), transaction)
        except RequestError as error:
            return Response.failed(error.code, str(error), transaction)
        except SipBridgeError as error:
            return Response.failed(_code_of(error), str(error), transaction)
        return Response.ok(transaction, **data)

    async def _answer_bridge(self, verb: str, payload: bytes, transaction: str | None) -> Response:
        if verb not in contract.BRIDGE_VERBS:
            return Response.failed(ErrorCode.UNKNOWN_VERB, f"there is no verb {verb!r}", transaction)
        try:
            request = contract.decode_bridge_request(verb, payload)
            self._check_expiry(request)
            data = await self._do_for_bridge(request)
        except contract.ContractError as error:
            return Response.failed(ErrorCode.INVALID_PAYLOAD, str(error), transaction)
        except RequestError as error:
            return Response.failed(error.code, str(error), transaction)
        except SipBridgeError as error:
            return Response.failed(_code_of(error), str(error), transaction)
        return Response(status="ok", transaction=transaction, data=data)

    async def _do_for_bridge(self, request: contract.BridgeRequest) -> dict[str, Any]:
        match request:
            case contract.HealthCheck():
                return contract.as_data(self._bridge.health())
            case contract.Trace(seconds=seconds):
                if not 0 <= seconds <= MAX_TRACE:
                    raise RequestError(ErrorCode.INVALID_PAYLOAD, f"seconds: expected 0 to {MAX_TRACE:.0f}")
                self._bridge.show_messages(seconds)
            case contract.Reload():
                return await self._bridge.reload()
            case contract.ChangeLogLevel(level=level):
                self._bridge.change_log_level(level)
                return {"level": level}
            case contract.Restart():
                await self._bridge.restart()
        return {}

    def _check_expiry(self, request: contract.Request) -> None:
        if request.expires is None:
            return
        try:
            end = datetime.fromisoformat(request.expires)
        except ValueError as error:
            raise RequestError(ErrorCode.INVALID_PAYLOAD, "expires: expected an RFC 3339 time") from error
        if end.tzinfo is None:
            raise RequestError(ErrorCode.INVALID_PAYLOAD, "expires: expected a time zone")
        if end.timestamp() < self._clock():
            raise RequestError(ErrorCode.EXPIRED, f"expired at {request.expires}")

    async def _do(self, phone: VoIPPhone, request: AccountRequest) -> dict[str, Any]:
        match request:
            case contract.Dial():
                return await self._dial(phone, request)
            case contract.SendMessage():
                return await self._send_message(phone, request)
            case contract.Register() | contract.Unregister() | contract.Set():
                return await self._do_for_line(phone, request)
            case contract.Transfer():
                return await self._transfer(phone, request)
            case contract.Join():
                return self._join(phone, request)
            case contract.Hangup():
                return self._hangup(phone, request)
            case contract.OpenDoor():
                return await self._open_door(phone, request)
            case _:
                return await self._do_in_call(choose_call(phone, request), request)

    async def _do_for_line(
        self, phone: VoIPPhone, request: contract.Register | contract.Unregister | contract.Set
    ) -> dict[str, Any]:
        match request:
            case contract.Register():
                phone.register()
            case contract.Unregister():
                phone.unregister()
            case contract.Set():
                await self._bridge.change_settings(phone, _settings_after(phone.settings, request))
                return contract.as_data(translate.settings(phone.settings))
        return {}

    async def _send_message(self, phone: VoIPPhone, request: contract.SendMessage) -> dict[str, Any]:
        target = dialling.number_of(phone, request.to)
        _check_target(phone, target)
        outcome = await phone.send_message(target, request.text)
        if isinstance(outcome, MessageSent):
            return {"status": int(outcome.status)}
        if outcome.status is None:
            raise RequestError(ErrorCode.SIP_ERROR, "nobody answered")
        raise RequestError(ErrorCode.SIP_ERROR, translate.printable(f"{int(outcome.status)} {outcome.phrase}"))

    async def _dial(self, phone: VoIPPhone, request: contract.Dial) -> dict[str, Any]:
        ringing = dialling.ringing_of(phone, request)
        for number in ringing.numbers:
            _check_target(phone, number)
        call, *others = await dialling.dial(phone, ringing, dialling.announcement_of(phone, request))
        ids = [translate.printable(each.call_id) for each in (call, *others)]
        return {"call_id": ids[0], "call_ids": ids} if dialling.is_hunt(ringing) else {"call_id": ids[0]}

    def _hangup(self, phone: VoIPPhone, request: contract.Hangup) -> dict[str, Any]:
        call = choose_call(phone, request)
        hunt = dialling.hunt_of(phone, call)
        if hunt is not None:
            hunt.give_up()
        elif call.is_ringing:
            call.reject(_refusal_status(request.status))
        else:
            call.hangup()
        return {"call_id": translate.printable(call.call_id)}

    async def _transfer(self, phone: VoIPPhone, request: contract.Transfer) -> dict[str, Any]:
        if (request.to is None) is (request.attended_call_id is None):
            raise RequestError(ErrorCode.INVALID_PAYLOAD, "expected either to or attended_call_id")
        call = choose_call(phone, request)
        if request.to is not None:
            target = dialling.number_of(phone, request.to)
            _check_target(phone, target)
            await call.transfer(target)
        else:
            await call.transfer(choose_call(phone, contract.Hold(call_id=request.attended_call_id)))
        return {"call_id": translate.printable(call.call_id)}

    def _join(self, phone: VoIPPhone, request: contract.Join) -> dict[str, Any]:
        call = choose_call(phone, request)
        others = (each for phone in self._phones.values() for each in phone.calls.values() if each is not call)
        other = next((each for each in others if translate.printable(each.call_id) == request.other_call_id), None)
        if other is None:
            raise RequestError(ErrorCode.NO_CALL, "other_call_id: that call is over, or never was")
        call.join(other)
        return {"call_id": translate.printable(call.call_id), "other_call_id": request.other_call_id}

    async def _open_door(self, phone: VoIPPhone, request: contract.OpenDoor) -> dict[str, Any]:
        door = phone.door.require_ready()
        asks_for_call = request.call_id is not None or request.if_state not in (None, contract.CallState.IDLE)
        call = None
        if door.number is not None and not phone.calls and not asks_for_call:
            _check_registered(phone)
        else:
            call = choose_call(phone, request)
        call = await phone.door.open(call, by="request")
        return {"call_id": translate.printable(call.call_id)}

    async def _do_in_call(self, call: VoIPCall, request: "CallRequest") -> dict[str, Any]:
        data: dict[str, Any] = {}
        match request:
            case contract.Answer():
                await call.answer()
            case contract.Reject(status=status):
                call.reject(_refusal_status(call.reject_status if status is None else status))
            case contract.Hold():
                await call.hold()
            case contract.Resume():
                await call.resume()
            case _:
                data = await _do_with_sound(call, request)
        return {"call_id": translate.printable(call.call_id), **data}


async def _do_with_sound(call: VoIPCall, request: "SoundRequest") -> dict[str, Any]:
    match request:
        case contract.SendDTMF():
            await _press(call, request)
        case contract.Play(url=url, loop=loop, volume=volume, enqueue=enqueue, early=early):
            play = call.play_early if early else call.play
            await play(url, loop=loop, volume=volume, enqueue=enqueue)
        case contract.StopPlayback():
            call.stop_playback()
        case contract.Record(name=name, max_seconds=max_seconds):
            return {"file": await call.record(name=name, max_seconds=max_seconds)}
        case contract.StopRecording():
            call.stop_recording()
        case contract.Separate():
            call.separate()
        case contract.Mute() | contract.Unmute():
            call.mute(isinstance(request, contract.Mute))
    return {}


async def _press(call: VoIPCall, request: contract.SendDTMF) -> None:
    method: SendMethod | None = None if request.method is None else request.method.value
    await call.send_dtmf(request.digits, duration_ms=request.duration_ms, gap_ms=request.gap_ms, method=method)


SoundRequest = (
    contract.SendDTMF
    | contract.Play
    | contract.StopPlayback
    | contract.Record
    | contract.StopRecording
    | contract.Separate
    | contract.Mute
    | contract.Unmute
)
CallRequest = contract.Answer | contract.Reject | contract.Hold | contract.Resume | SoundRequest


ChosenRequest = CallRequest | contract.Hangup | contract.Transfer | contract.Join | contract.OpenDoor


def choose_call(phone: VoIPPhone, request: ChosenRequest) -> VoIPCall:
    """The call that a request is about: the one it names, else the only one that fits."""
    calls = list(phone.calls.values())
    if request.call_id is not None:
        named = [call for call in calls if translate.printable(call.call_id) == request.call_id]
        if not named:
            raise RequestError(ErrorCode.NO_CALL, "that call is over, or never was")
        fitting = named
    elif not calls:
        raise RequestError(ErrorCode.NO_CALL, f"account {phone.account.id!r} has no call")
    else:
        fitting = [call for call in calls if _fits(call, request)]
        if not fitting:
            states = ", ".join(translate.call_state(call.state) for call in calls)
            raise RequestError(ErrorCode.WRONG_STATE, f"no call can do that: {states}")
    if isinstance(request, contract.Hangup):
        fitting = dialling.one_of_each_hunt(phone, fitting)
    if len(fitting) > 1:
        raise RequestError(ErrorCode.AMBIGUOUS_CALL, f"{len(fitting)} calls fit: name one by call_id")
    call = fitting[0]
    state = translate.call_state(call.state)
    if request.if_state is not None and request.if_state is not state:
        raise RequestError(ErrorCode.WRONG_STATE, f"the call is {state}, not {request.if_state}")
    return call


def _settings_after(settings: LineSettings, request: contract.Set) -> LineSettings:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(request, field.name)
        if value is None:
            continue
        low, high = RANGES.get(field.name, (value, value))
        if not low <= value <= high:
            raise RequestError(ErrorCode.INVALID_PAYLOAD, f"{field.name}: expected {low:g} to {high:g}")
        changes[field.name] = str(value) if isinstance(value, contract.DTMFChoice) else value
    return dataclasses.replace(settings, **changes)


def _check_target(phone: VoIPPhone, target: str) -> None:
    """Whether an account may call or write to a target now."""
    if not phone.may_dial(target):
        raise NotAllowedError(
            f"allow_dial and block_dial of account {phone.account.id!r} don't let {target!r} be dialled"
        )
    _check_registered(phone)


def _check_registered(phone: VoIPPhone) -> None:
    if not phone.is_registered:
        raise RequestError(ErrorCode.NOT_REGISTERED, f"account {phone.account.id!r} is not registered")


def _fits(call: VoIPCall, request: ChosenRequest) -> bool:
    match request:
        case contract.Hangup():
            return True
        case contract.Answer() | contract.Reject():
            return call.is_ringing
        case contract.Play(early=True):
            return call.is_ringing
        case contract.StopPlayback():
            return call.is_talking or call.state is CallState.EARLY_MEDIA
        case contract.OpenDoor():
            return call.is_ringing or call.is_talking
        case contract.Transfer(attended_call_id=other) | contract.Join(other_call_id=other):
            return call.is_talking and translate.printable(call.call_id) != other
        case _:
            return call.is_talking


def _refusal_status(code: int) -> SIPStatus:
    if not 400 <= code <= 699:
        raise RequestError(ErrorCode.INVALID_PAYLOAD, "status: expected 400 to 699")
    return SIPStatus(code)


def _code_of(error: SipBridgeError) -> ErrorCode:
    return next((code for kind, code in _CODES if isinstance(error, kind)), ErrorCode.INTERNAL_ERROR)
