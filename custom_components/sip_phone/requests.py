"""Requests to the bridge and the responses that it gives, matched by transaction."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from homeassistant.components import mqtt
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .contract import (
    ACCOUNT_VERBS,
    AccountRequest,
    ErrorCode,
    Hold,
    OpenDoor,
    Play,
    RequestFailure,
    Response,
    Resume,
    SendDTMF,
    SendMessage,
    Topics,
    Transfer,
    decode,
    encode_request,
)

RESPONSE_TIMEOUT: Final = 10.0  # seconds
_OTHER_PARTYS_TIMEOUT: Final = 40.0  # the other side has 32 s to answer a SIP request (RFC 3261 §17)
_NEW_CALLS_TIMEOUT: Final = 120.0  # somebody may have to pick up first
_PAUSE_MS: Final = 500  # a comma among keys
QOS: Final = 1

_VERBS: Final[Mapping[type[AccountRequest], str]] = {kind: verb for verb, (kind, _) in ACCOUNT_VERBS.items()}

# What whoever asked can put right; the rest went wrong on the way or at the bridge.
_CALLERS_FAULTS: Final = frozenset(
    {
        ErrorCode.INVALID_PAYLOAD,
        ErrorCode.UNKNOWN_ACCOUNT,
        ErrorCode.NO_CALL,
        ErrorCode.AMBIGUOUS_CALL,
        ErrorCode.WRONG_STATE,
        ErrorCode.NOT_ALLOWED,
    }
)


class Requests:
    """Requests under way to one bridge."""

    def __init__(self, hass: HomeAssistant, topics: Topics) -> None:
        self._hass = hass
        self._topics = topics
        self._pending: dict[str, asyncio.Future[Response]] = {}

    async def async_send(self, account: str, request: AccountRequest, *, is_online: bool) -> Response:
        """Publish a request and await its response; raises a translated `HomeAssistantError`."""
        verb = _VERBS[type(request)]
        if not is_online:
            raise _error("bridge_offline", verb)
        transaction = uuid.uuid4().hex
        response: asyncio.Future[Response] = self._hass.loop.create_future()
        self._pending[transaction] = response
        try:
            async with asyncio.timeout(_patience(request)):
                await self._async_publish(account, verb, replace(request, transaction=transaction))
                answer = await response
        except TimeoutError as error:
            raise _error("no_response", verb) from error
        finally:
            del self._pending[transaction]
        if answer.error is not None:
            raise _refusal(verb, answer.error)
        return answer

    @callback
    def async_receive(self, payload: bytes) -> None:
        """A response, be it to us or to another client; raises `ContractError`."""
        answer = decode(Response, payload)
        pending = None if answer.transaction is None else self._pending.get(answer.transaction)
        if pending is not None and not pending.done():
            pending.set_result(answer)

    async def _async_publish(self, account: str, verb: str, request: AccountRequest) -> None:
        await self._async_wait_for_subscription()
        payload = encode_request(request, dt_util.utcnow().timestamp())
        await mqtt.async_publish(
            self._hass, self._topics.of_account(account, "request", verb), payload, qos=QOS, retain=False
        )

    async def _async_wait_for_subscription(self) -> None:
        """Wait until the broker took our subscription, as after a reconnect; else the response would be missed."""
        live = asyncio.Event()
        stop = mqtt.async_on_subscribe_done(self._hass, self._topics.everything, QOS, live.set)
        try:
            await live.wait()
        finally:
            stop()


def _patience(request: AccountRequest) -> float:
    """Seconds in which the bridge answers, whatever the other party does."""
    match request:
        case SendDTMF(digits=digits, duration_ms=duration, gap_ms=gap):
            pressed = len(digits) * (duration + gap) + digits.count(",") * _PAUSE_MS
            return RESPONSE_TIMEOUT + pressed / 1000
        case Hold() | Resume() | SendMessage() | Play():
            return _OTHER_PARTYS_TIMEOUT
        case Transfer() | OpenDoor():
            return _NEW_CALLS_TIMEOUT
        case _:
            return RESPONSE_TIMEOUT


def _refusal(verb: str, failure: RequestFailure) -> HomeAssistantError:
    kind = ServiceValidationError if failure.code in _CALLERS_FAULTS else HomeAssistantError
    return _error(f"request_{failure.code}", verb, kind, reason=failure.message)


def _error(
    key: str, verb: str, kind: type[HomeAssistantError] = HomeAssistantError, **placeholders: str
) -> HomeAssistantError:
    return kind(translation_domain=DOMAIN, translation_key=key, translation_placeholders={"verb": verb, **placeholders})
