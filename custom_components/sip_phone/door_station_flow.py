"""The form of a door station, a subentry of the bridge's entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import probatio
from homeassistant.config_entries import ConfigEntryState, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_NAME
from homeassistant.data_entry_flow import Optional, Required
from homeassistant.helpers import selector
from homeassistant.helpers.field_visibility import FieldCondition

from .contract import DTMFMethod
from .door_station import (
    CONF_ACCOUNT,
    CONF_AUTO_ANSWER,
    CONF_CALLER,
    CONF_CAMERA,
    CONF_DOOR_CODE,
    CONF_DTMF_METHOD,
    CONF_OPENED_BY,
    CONF_OPENER,
    OpenedBy,
    is_door_code,
)

_OPENERS: Final = ["lock", "button", "input_button", "switch", "cover", "script"]


class DoorStationFlow(ConfigSubentryFlow):
    """Describe a door station, or describe it anew."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A new station."""
        return await self._async_step("user", user_input, {})

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A known station."""
        return await self._async_step("reconfigure", user_input, self._get_reconfigure_subentry().data)

    async def _async_step(
        self, step_id: str, user_input: dict[str, Any] | None, known: Mapping[str, Any]
    ) -> SubentryFlowResult:
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_loaded")
        accounts = entry.runtime_data.state.accounts or {}
        if not accounts:
            return self.async_abort(reason="no_lines")
        errors: dict[str, str] = {}
        if user_input is not None:
            data = {key: value.strip() if isinstance(value, str) else value for key, value in user_input.items()}
            errors = _check(data)
            if not errors and step_id == "user":
                return self.async_create_entry(title=data[CONF_NAME], data=data)
            if not errors:
                subentry = self._get_reconfigure_subentry()
                return self.async_update_and_abort(entry, subentry, title=data[CONF_NAME], data=data)
        lines = [selector.SelectOptionDict(value=each.id, label=each.name) for each in accounts.values()]
        suggested = user_input or known or {CONF_ACCOUNT: lines[0]["value"]}
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(_schema(lines), suggested),
            errors=errors,
        )


def _schema(lines: list[selector.SelectOptionDict]) -> probatio.Schema:
    """The form; what only one way of opening needs is shown with that way."""
    by_keys = FieldCondition(field=CONF_OPENED_BY, value=OpenedBy.KEYS.value)
    by_entity = FieldCondition(field=CONF_OPENED_BY, value=OpenedBy.ENTITY.value)
    return probatio.Schema(
        {
            Required(CONF_NAME): selector.TextSelector(),
            Required(CONF_ACCOUNT): selector.SelectSelector(selector.SelectSelectorConfig(options=lines)),
            Optional(CONF_CALLER): selector.TextSelector(),
            Optional(CONF_CAMERA): selector.EntitySelector(selector.EntitySelectorConfig(domain="camera")),
            Required(CONF_OPENED_BY, default=OpenedBy.NOTHING.value): selector.SelectSelector(
                selector.SelectSelectorConfig(options=[each.value for each in OpenedBy], translation_key="opened_by")
            ),
            Required(CONF_DOOR_CODE, visible=by_keys): selector.TextSelector(
                selector.TextSelectorConfig(type=selector.TextSelectorType.PASSWORD)
            ),
            Optional(CONF_DTMF_METHOD, visible=by_keys): selector.SelectSelector(
                selector.SelectSelectorConfig(
                    options=[each.value for each in DTMFMethod], translation_key="dtmf_method"
                )
            ),
            Required(CONF_OPENER, visible=by_entity): selector.EntitySelector(
                selector.EntitySelectorConfig(domain=_OPENERS)
            ),
            Required(CONF_AUTO_ANSWER, default=False): selector.BooleanSelector(),
        }
    )


def _check(data: Mapping[str, Any]) -> dict[str, str]:
    """Errors by field."""
    if not data[CONF_NAME]:
        return {CONF_NAME: "name_missing"}
    if data[CONF_OPENED_BY] == OpenedBy.KEYS and not is_door_code(data[CONF_DOOR_CODE]):
        return {CONF_DOOR_CODE: "invalid_door_code"}
    return {}
