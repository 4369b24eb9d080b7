"""Options of a bridge: what Home Assistant itself does with it. A change reloads the entry."""

from __future__ import annotations

from typing import Any

import probatio
from homeassistant.config_entries import ConfigFlowResult, OptionsFlowWithReload
from homeassistant.const import UnitOfTime
from homeassistant.helpers import selector

from .const import CONF_LLM_CALLS, CONF_LLM_DOORS, CONF_OFFLINE_MINUTES, DEFAULT_OFFLINE_MINUTES

_SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_OFFLINE_MINUTES, default=DEFAULT_OFFLINE_MINUTES): selector.NumberSelector(
            selector.NumberSelectorConfig(
                min=1,
                max=1440,
                mode=selector.NumberSelectorMode.BOX,
                unit_of_measurement=UnitOfTime.MINUTES,
            )
        ),
        probatio.Required(CONF_LLM_CALLS, default=True): selector.BooleanSelector(),
        probatio.Required(CONF_LLM_DOORS, default=False): selector.BooleanSelector(),
    }
)


class SipPhoneOptionsFlow(OptionsFlowWithReload):
    """When a silent bridge is a problem, and what voice assistants may do."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """The only step."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(_SCHEMA, self.config_entry.options),
        )
