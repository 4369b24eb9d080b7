"""Triggers: an incoming call, answered, ended, missed, keys that were pressed, a text, a registration that was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, override

import probatio
from homeassistant.const import CONF_OPTIONS, CONF_TARGET
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids
from homeassistant.helpers.trigger import Trigger, TriggerActionRunner, TriggerConfig, TriggerNotTriggeredReporter
from homeassistant.helpers.typing import ConfigType

from .contract import EndReason
from .door_station import matches
from .happenings import SIGNAL_HAPPENED, Happening, Kind

CONF_CALLER: Final = "caller"
CONF_CODE: Final = "code"
CONF_DIGITS: Final = "digits"
CONF_RESULT: Final = "result"

_CALL_OPTIONS: Final[Mapping[probatio.Marker, Any]] = {probatio.Optional(CONF_CALLER): cv.string}
_KEYS: Final = probatio.All(cv.string, cv.matches_regex(r"^[0-9*#A-D]{1,32}$"))


class HappeningTrigger(Trigger):
    """Runs the actions when something of one kind happens on a targeted line, or on any where none is targeted."""

    kind: ClassVar[Kind]
    options_schema: ClassVar[Mapping[probatio.Marker, Any]] = {}

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Check the options."""
        schema = probatio.Schema(
            {
                probatio.Optional(CONF_TARGET): cv.TARGET_FIELDS,
                probatio.Required(CONF_OPTIONS, default={}): dict(cls.options_schema),
            }
        )
        checked: ConfigType = schema(config)
        return checked

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        super().__init__(hass, config)
        self._target = None if config.target is None else TargetSelection(config.target)
        self.options: Mapping[str, Any] = config.options or {}

    def is_wanted(self, happening: Happening) -> bool:
        """Whether the happening is what the options ask for."""
        return happening.kind is self.kind

    @override
    async def async_attach_runner(
        self, run_action: TriggerActionRunner, did_not_trigger: TriggerNotTriggeredReporter | None = None
    ) -> CALLBACK_TYPE:
        """Listen for happenings; a bridge that is set up anew goes on where it was."""

        @callback
        def happened(happening: Happening) -> None:
            if self.is_wanted(happening) and self._is_targeted(happening):
                run_action(dict(happening.data), f"{happening.kind} on {happening.data['line']}")

        return async_dispatcher_connect(self._hass, SIGNAL_HAPPENED, happened)

    def _is_targeted(self, happening: Happening) -> bool:
        if self._target is None:
            return True
        chosen = async_extract_referenced_entity_ids(self._hass, self._target, primary_entities_only=False)
        registry = er.async_get(self._hass)
        entities = (registry.async_get(entity) for entity in chosen.referenced | chosen.indirectly_referenced)
        devices = {entity.device_id for entity in entities if entity is not None} | chosen.referenced_devices
        return not devices.isdisjoint(happening.devices)


class CallTrigger(HappeningTrigger):
    """Something of a call; ``caller`` narrows it to those whose number, URI or name fits the pattern."""

    options_schema = _CALL_OPTIONS

    @override
    def is_wanted(self, happening: Happening) -> bool:
        """Whether it is of a call with such a party."""
        return super().is_wanted(happening) and self.is_of_caller(happening)

    def is_of_caller(self, happening: Happening) -> bool:
        """Whether the other party fits the pattern; without one everybody does."""
        pattern = self.options.get(CONF_CALLER)
        claims = (happening.data[key] for key in ("remote_number", "remote_uri", "remote_name"))
        return not pattern or any(claim is not None and matches(pattern, claim) for claim in claims)


class IncomingCallTrigger(CallTrigger):
    """Somebody calls."""

    kind = Kind.INCOMING_CALL


class CallAnsweredTrigger(CallTrigger):
    """A call was answered, here or by the other party."""

    kind = Kind.CALL_ANSWERED


class CallMissedTrigger(CallTrigger):
    """A caller gave up before anybody answered."""

    kind = Kind.CALL_MISSED


class CallEndedTrigger(CallTrigger):
    """A call ended, in one of the ways asked for."""

    kind = Kind.CALL_ENDED
    options_schema: ClassVar[Mapping[probatio.Marker, Any]] = {
        **_CALL_OPTIONS,
        probatio.Optional(CONF_RESULT): probatio.All(cv.ensure_list, [probatio.In([each.value for each in EndReason])]),
    }

    @override
    def is_wanted(self, happening: Happening) -> bool:
        """Whether it ended so."""
        results = self.options.get(CONF_RESULT)
        return super().is_wanted(happening) and (not results or happening.data["result"] in results)


class DTMFReceivedTrigger(CallTrigger):
    """The other party pressed keys: a code by its name, certain digits, or any sequence.

    One digit is heard as soon as its key is pressed; more are compared with the whole sequence.
    """

    kind = Kind.DTMF_RECEIVED
    options_schema: ClassVar[Mapping[probatio.Marker, Any]] = {
        **_CALL_OPTIONS,
        probatio.Optional(CONF_DIGITS): _KEYS,
        probatio.Optional(CONF_CODE): cv.string,
    }

    @override
    def is_wanted(self, happening: Happening) -> bool:
        """Whether these are the keys."""
        digits, code = self.options.get(CONF_DIGITS), self.options.get(CONF_CODE)
        is_one_key = digits is not None and len(digits) == 1 and code is None
        if happening.kind is not (Kind.KEY_PRESSED if is_one_key else Kind.DTMF_RECEIVED):
            return False
        asked = {CONF_DIGITS: digits, CONF_CODE: code}
        told = happening.data
        return all(value is None or told[key] == value for key, value in asked.items()) and self.is_of_caller(happening)


class DoorOpenedTrigger(CallTrigger):
    """The last key of a door code was sent."""

    kind = Kind.DOOR_OPENED


class MessageReceivedTrigger(CallTrigger):
    """Somebody sent the line a text."""

    kind = Kind.MESSAGE_RECEIVED


class RegistrationLostTrigger(HappeningTrigger):
    """The registrar no longer knows the line."""

    kind = Kind.REGISTRATION_LOST


class RegistrationRestoredTrigger(HappeningTrigger):
    """The registrar knows the line again."""

    kind = Kind.REGISTRATION_RESTORED


TRIGGERS: Final[dict[str, type[Trigger]]] = {
    "incoming_call": IncomingCallTrigger,
    "call_answered": CallAnsweredTrigger,
    "call_ended": CallEndedTrigger,
    "call_missed": CallMissedTrigger,
    "dtmf_received": DTMFReceivedTrigger,
    "door_opened": DoorOpenedTrigger,
    "message_received": MessageReceivedTrigger,
    "registration_lost": RegistrationLostTrigger,
    "registration_restored": RegistrationRestoredTrigger,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """The triggers of this integration."""
    return TRIGGERS
