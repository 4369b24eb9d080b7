"""What a language model may do on the telephone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from homeassistant.components.llm import async_get_tools
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import llm
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sip_phone.contract import AccountInfo, Contact, ErrorCode, Response
from tests.component.bridge import DOOR, PBX, FakeBridge, call, snapshot
from tests.component.test_door_stations import add, requests

GRANNY = Contact(name="Granny", number="0123")
LINES = (replace(DOOR, door_code=True), replace(PBX, contacts=(GRANNY, Contact(name="Jo", number="100"))))


@pytest.fixture
async def assist(hass: HomeAssistant, phone: FakeBridge) -> None:
    """A bridge with a phone book and a door code, and the assistant's tools."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "llm", {})
    phone.start(*LINES)
    await hass.async_block_till_done()


async def set_options(hass: HomeAssistant, entry: MockConfigEntry, **options: Any) -> None:
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()


def context() -> llm.LLMContext:
    return llm.LLMContext(platform="test", context=Context(), language="en", assistant="conversation", device_id=None)


async def api_of(hass: HomeAssistant) -> llm.APIInstance:
    return await llm.async_get_api(hass, llm.LLM_API_ASSIST, context())


async def tools(hass: HomeAssistant) -> set[str]:
    return {tool.name for tool in (await api_of(hass)).tools if tool.name.startswith("sip_phone__")}


async def use(hass: HomeAssistant, tool: str, **arguments: str) -> Any:
    call = llm.ToolInput(tool_name=f"sip_phone__{tool}", tool_args=arguments)
    return await (await api_of(hass)).async_call_tool(call)


@pytest.mark.usefixtures("assist")
async def test_a_contact_can_be_called_by_name(hass: HomeAssistant, phone: FakeBridge) -> None:
    await use(hass, "call_contact", contact="Granny")
    ((topic, request, _, _),) = phone.requests
    assert (topic, request["to"]) == ("sip_bridge/home/account/pbx/request/dial", "0123")


@pytest.mark.usefixtures("assist")
async def test_nobody_else_can_be_called(hass: HomeAssistant, phone: FakeBridge) -> None:
    result = await use(hass, "call_contact", contact="0900666")
    assert (result.error, phone.requests) == (True, [])


@pytest.mark.usefixtures("assist")
async def test_contacts_of_one_name_are_told_apart_by_their_line(hass: HomeAssistant, phone: FakeBridge) -> None:
    office = AccountInfo(id="x", name="Office", uri="sip:x@192.0.2.2", kind=PBX.kind, contacts=(GRANNY,))
    phone.start(*LINES, office)
    await hass.async_block_till_done()
    await use(hass, "call_contact", contact="Granny (Office)")
    assert phone.requests[0][0] == "sip_bridge/home/account/x/request/dial"


@pytest.mark.usefixtures("assist")
async def test_why_a_call_failed_is_told_to_the_model(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.answer = Response.failed(ErrorCode.NOT_REGISTERED, "no registrar")
    result = await use(hass, "call_contact", contact="Jo")
    assert result.error is True
    assert "not registered" in result.data["error"]


@pytest.mark.usefixtures("assist")
async def test_every_call_is_hung_up(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.tell("call", snapshot(call("c1"), call("c2")), "door")
    await hass.async_block_till_done()
    result = await use(hass, "hang_up")
    assert (result.data, result.error) == ({"success": True}, False)
    assert [(verb, each["call_id"]) for verb, each in requests(phone)] == [("hangup", "c1"), ("hangup", "c2")]


@pytest.mark.usefixtures("assist")
async def test_doors_are_opened_only_where_the_options_allow_it(
    hass: HomeAssistant, phone: FakeBridge, entry: MockConfigEntry
) -> None:
    assert await tools(hass) == {"sip_phone__call_contact", "sip_phone__hang_up"}
    await add(hass, entry, name="Gate", opened_by="bridge", account="pbx")
    await add(hass, entry, name="Bell only")
    await set_options(hass, entry, llm_doors=True)
    await use(hass, "open_door", door="Door")
    await use(hass, "open_door", door="Gate")
    refused = await use(hass, "open_door", door="Bell only")
    assert [topic for topic, *_ in phone.requests] == [
        "sip_bridge/home/account/door/request/open_door",
        "sip_bridge/home/account/pbx/request/open_door",
    ]
    assert refused.error is True


@pytest.mark.usefixtures("assist")
async def test_calls_can_be_forbidden(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await set_options(hass, entry, llm_calls=False)
    assert await tools(hass) == set()


@pytest.mark.usefixtures("assist")
async def test_without_contacts_nobody_can_be_called(hass: HomeAssistant, phone: FakeBridge) -> None:
    phone.start(replace(DOOR, contacts=()))
    await hass.async_block_till_done()
    assert await tools(hass) == {"sip_phone__hang_up"}


@pytest.mark.usefixtures("assist")
async def test_another_api_has_no_telephone(hass: HomeAssistant) -> None:
    found = await async_get_tools(hass, context(), llm.LLM_API_HOME_ASSISTANT)
    assert [tool.name for tool in found.tools if tool.name.startswith("sip_phone__")] == []
