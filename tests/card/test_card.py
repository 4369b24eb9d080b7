"""The card in each phase of a call, as a person meets it."""

from typing import Any

import pytest

from tests.peers.chromium import Page
from tests.peers.process import PeerError

ANSWERED = "new Date(Date.now() - 65000).toISOString()"


async def show(page: Page, home: str, config: str = "{}") -> None:
    await page.evaluate(f"show({home}, {config})")


async def buttons(page: Page) -> list[str]:
    return [name for role, name in await page.accessible() if role in {"button", "toggle button"}]


async def called(page: Page) -> list[Any]:
    """Each action and what it was for; all of them have Home Assistant show an error."""
    calls = await page.evaluate("called.splice(0)")
    assert all(notifies for _, _, notifies in calls)
    return [[action, what] for action, what, _ in calls]


async def test_an_idle_line_has_contacts_a_dial_pad_and_its_last_calls(page: Page) -> None:
    await page.evaluate(
        "past = ["
        "['2026-11-20T10:00:00Z', {result: 'hangup_remote', direction: 'incoming', talk_seconds: 65,"
        " remote_name: 'Bob'}],"
        "['unavailable', {}],"
        "['2026-11-21T11:30:00Z', {result: 'no_answer', direction: 'outgoing', talk_seconds: 0, remote_number: '200'}]]"
    )
    last = "{last_call: {result: 'canceled', direction: 'incoming', talk_seconds: 0, remote_name: 'Post'}}"
    await show(page, f"home('idle', {{last_call: '2026-11-22T08:05:00Z', missed_calls: '1'}}, {last})")
    await page.wait_for("find('.recent li:nth-child(3)')")
    recent = await page.evaluate("[...find('.recent').children].map((each) => each.innerText.replace(/\\s+/g, ' '))")
    assert recent == [
        "Post Missed · Nov 22, 08:05",
        "200 Outgoing · Nov 21, 11:30 · Not answered",
        "Bob Incoming · Nov 20, 10:00 · 1:05",
    ]
    assert await buttons(page) == [
        "Do not disturb",
        "Mark as seen",
        "Call Anna",
        "Call Bob",
        "Call Kitchen",
        "Call 200 (Outgoing · Nov 21, 11:30 · Not answered)",
        "Delete last character",
        *(f"Key {key}" for key in "123456789*0#"),
        "Call",
        "Redial",
    ]


async def test_a_press_on_a_contact_calls_it(page: Page) -> None:
    await show(page, "home('idle')")
    await page.click("[aria-label='Call Kitchen']")
    assert await called(page) == [["sip_phone.dial", {"device_id": "door", "to": "Kitchen"}]]


async def test_a_number_is_typed_on_the_pad_or_the_keyboard_and_enter_calls_it(page: Page) -> None:
    await show(page, "home('idle')")
    await page.click("[aria-label='Key 2']")
    await page.click("[aria-label='Key 1']")
    await page.click("[aria-label='Delete last character']")
    await page.click("input[maxlength]")
    await page.write("03")
    await page.press("Enter")
    await page.wait_for("find('input[maxlength]').value === ''")
    assert await called(page) == [["sip_phone.dial", {"device_id": "door", "to": "203"}]]


async def test_nobody_is_called_before_a_number_is_there(page: Page) -> None:
    await show(page, "home('idle')")
    await page.click("input[maxlength]")
    await page.press("Enter")
    assert await called(page) == []
    assert await page.evaluate("find('.good').disabled") is True


async def test_a_number_that_could_not_be_called_stays_to_be_mended(page: Page) -> None:
    await page.evaluate("refusal = new Error('not allowed')")
    await show(page, "home('idle')")
    await page.click("input[maxlength]")
    await page.write("203")
    await page.press("Enter")
    await page.wait_for("called.length === 1 && find('.good').ariaBusy === 'false'")
    assert await page.evaluate("find('input[maxlength]').value") == "203"


async def test_a_number_half_typed_is_still_there_after_a_call(page: Page) -> None:
    await show(page, "home('idle')")
    await page.click("input[maxlength]")
    await page.write("20")
    await show(page, "home('ringing')")
    assert await page.evaluate("document.activeElement.shadowRoot.activeElement.tagName") == "H2"  # no button
    await show(page, "home('idle')")
    assert await page.evaluate("find('input[maxlength]').value") == "20"


async def test_what_happens_elsewhere_takes_neither_focus_nor_text(page: Page) -> None:
    await show(page, "home('idle')")
    await page.click("input[maxlength]")
    await page.write("20")
    await show(page, "home('idle', {missed_calls: '3', do_not_disturb: 'on'})")
    await page.write("3")
    assert await page.evaluate("document.activeElement.shadowRoot.activeElement.value") == "203"


async def test_missed_calls_and_messages_are_counted_until_somebody_has_seen_them(page: Page) -> None:
    await show(page, "home('idle', {missed_calls: '2', voicemail: '1'})")
    told = await page.evaluate("find('.news').innerText")
    assert "Missed calls: 2" in told
    assert "New messages: 1" in told
    await page.click(".news button")
    assert await called(page) == [["button.press", "reset_missed_calls"]]
    await show(page, "home('idle')")
    assert await page.evaluate("find('.news') === null || find('.news').innerText === ''") is True


async def test_do_not_disturb_is_a_toggle_that_says_how_it_stands(page: Page) -> None:
    await show(page, "home('idle', {do_not_disturb: 'on'})")
    assert await page.evaluate("find('header button').ariaPressed") == "true"
    await page.click("header button")
    assert await called(page) == [["switch.turn_off", "do_not_disturb"]]


async def test_a_line_without_its_registrar_says_so_in_words(page: Page) -> None:
    await show(page, "home('idle', {registration: 'failed'})")
    assert await page.evaluate("find('header .status').innerText") == "Not registered"


async def test_a_ringing_line_says_who_shows_the_camera_and_can_be_answered(page: Page) -> None:
    await show(page, "home('ringing')", "{camera: 'camera.door'}")
    assert await page.evaluate("find('h2').innerText") == "Front door"
    assert await buttons(page) == ["Answer", "Open door", "Reject"]
    assert ("image", "Picture of the camera") in await page.accessible()
    await page.wait_for("find('.camera img').naturalWidth > 0")
    for button in (".good", ".actions button:nth-child(2)", ".bad"):
        await page.click(button)
    assert await called(page) == [["button.press", "answer"], ["button.press", "open_door"], ["button.press", "reject"]]


async def test_a_ring_is_read_out_at_once_and_its_end_too(page: Page) -> None:
    await show(page, "home('idle')")
    await show(page, "home('ringing')")
    card = "document.querySelector('main sip-phone-card').shadowRoot"
    assert await page.evaluate(f"{card}.querySelector('[role=alert]').textContent") == "Front door is calling"
    await show(page, "home('talking')")
    assert await page.evaluate(f"{card}.querySelector('[role=alert]').textContent") == ""
    assert await page.evaluate(f"{card}.querySelector('[role=status]').textContent") == "In call with Front door"
    await show(page, "home('idle')")
    assert await page.evaluate(f"{card}.querySelector('[role=status]').textContent") == "The call has ended"


async def test_a_camera_shows_one_picture_after_the_other(page: Page) -> None:
    await show(page, "home('ringing')", "{camera: 'camera.door'}")
    first = await page.wait_for("find('.camera img').src")
    await page.wait_for(f"find('.camera img').src !== {first!r}")


async def test_without_a_camera_of_its_own_it_shows_that_of_the_door_station_which_rings(page: Page) -> None:
    await show(page, "home('ringing', {}, {remote_party: {camera: 'camera.door'}})")
    await page.wait_for("find('.camera img').naturalWidth > 0")
    await show(page, "home('ringing', {}, {remote_party: {camera: 'camera.gone'}})")
    assert await page.evaluate("find('.camera')") is None
    await show(page, "home('ringing', {}, {remote_party: {camera: null}})")
    assert await page.evaluate("find('.camera')") is None


async def test_a_line_without_a_registrar_calls_back_by_the_address(page: Page) -> None:
    await page.evaluate(
        "past = [['2026-11-22T09:05:00Z', {result: 'canceled', direction: 'incoming', talk_seconds: 0,"
        " remote_number: 'front', remote_uri: 'sip:front@192.0.2.3'}],"
        "['2026-11-22T09:04:00Z', {result: 'canceled', direction: 'incoming', talk_seconds: 0, remote_number: '1'}]]"
    )
    await show(page, "home('idle', {registration: 'disabled'})")
    await page.wait_for("find('.recent li:nth-child(2)')")
    assert await page.evaluate("find('.recent').querySelectorAll('button').length") == 1
    await page.evaluate("find('.recent button').click()")
    assert await called(page) == [["sip_phone.dial", {"device_id": "door", "to": "sip:front@192.0.2.3"}]]


async def test_a_camera_is_live_where_home_assistant_lends_its_card(page: Page) -> None:
    await page.evaluate(
        "window.loadCardHelpers = async () => ({createCardElement: (config) =>"
        " Object.assign(document.createElement('div'), {config})})"
    )
    await show(page, "home('ringing')", "{camera: 'camera.door'}")
    live = await page.wait_for("find('.camera > div')?.hass && find('.camera > div').config")
    assert (live["type"], live["entity"], live["camera_view"]) == ("picture-entity", "camera.door", "live")
    assert await page.evaluate("find('.camera img')") is None


async def test_without_a_code_there_is_no_button_for_the_door(page: Page) -> None:
    await show(page, "home('ringing', {open_door: 'unavailable'})")
    assert await buttons(page) == ["Answer", "Reject"]


async def test_a_door_that_was_opened_is_told(page: Page) -> None:
    await page.evaluate("window.addEventListener('hass-notification', ({detail}) => (window.toast = detail.message))")
    await show(page, "home('ringing')")
    await page.click(".actions button:nth-child(2)")
    assert await page.wait_for("window.toast") == "The door was opened"


async def test_a_door_that_did_not_open_is_not_told_as_opened(page: Page) -> None:
    await page.evaluate("window.addEventListener('hass-notification', ({detail}) => (window.toast = detail.message))")
    await page.evaluate("refusal = new Error('no code')")
    await show(page, "home('ringing')")
    await page.click(".actions button:nth-child(2)")
    await page.wait_for("called.length === 1 && find('.actions button:nth-child(2)').ariaBusy === 'false'")
    assert await page.evaluate("window.toast ?? null") is None


async def test_a_button_that_is_busy_takes_no_second_press(page: Page) -> None:
    await page.evaluate("waiting = () => {}")
    await show(page, "home('ringing')")
    await page.click(".good")
    await page.click(".good")
    assert await called(page) == [["button.press", "answer"]]
    assert await page.evaluate("find('.good').ariaBusy") == "true"


async def test_a_call_has_its_time_its_state_and_its_controls(page: Page) -> None:
    await show(page, f"home('talking', {{answered_at: {ANSWERED}, mute: 'on'}})")
    assert await page.wait_for("find('.timer').innerText.match(/^1:0[5-9]$/)")
    await page.wait_for("find('.timer').innerText >= '1:07'")  # it goes on
    assert await page.evaluate("find('.who .status').innerText.split('\\n').pop().trim()") == "In call · Muted"
    assert await buttons(page) == ["Mute", "Hold", "Record", "Keypad", "Open door", "Hang up"]
    for place in (1, 2, 3, 6):
        await page.click(f".actions button:nth-child({place})")
    assert await called(page) == [
        ["switch.turn_off", "mute"],
        ["switch.turn_on", "hold"],
        ["switch.turn_on", "record"],
        ["button.press", "hang_up"],
    ]


async def test_keys_go_out_in_the_order_of_the_presses(page: Page) -> None:
    await page.evaluate("waiting = () => {}")
    await show(page, "home('talking')")
    await page.click("[aria-controls=keys]")
    assert await page.evaluate("find('[aria-controls=keys]').ariaExpanded") == "true"
    await page.click("[aria-label='Key 1']")
    for key in "2#5":
        await page.press(key)
    await page.evaluate("(() => { const go = waiting; waiting = null; go(); })()")
    await page.wait_for("called.length === 2")
    assert [what["digits"] for _, what in await called(page)] == ["1", "2#5"]
    assert await page.evaluate("find('.sent').value") == "12#5"


async def test_keys_after_one_that_failed_are_not_sent_as_another_code(page: Page) -> None:
    await page.evaluate("waiting = () => {}")
    await show(page, "home('talking')")
    await page.click("[aria-controls=keys]")
    await page.click("[aria-label='Key 1']")
    await page.press("2")
    await page.evaluate("(() => { const go = waiting; waiting = null; refusal = new Error('no call'); go(); })()")
    await page.evaluate("new Promise((go) => setTimeout(go, 50))")
    assert [what["digits"] for _, what in await called(page)] == ["1"]


async def test_a_call_that_is_dialled_can_be_ended_before_the_answer(page: Page) -> None:
    await show(page, "home('dialing')")
    assert await page.evaluate("find('.who').innerText.split('\\n').filter(Boolean)") == ["Anna", "Calling"]
    assert "Hang up" in await buttons(page)
    assert "Mute" not in await buttons(page)


async def test_a_second_caller_is_announced_beside_the_call(page: Page) -> None:
    doorbell = "{doorbell: {caller_name: 'Garden gate'}}"
    await show(page, f"home('talking', {{ringing: 'on', answer: 'unknown', reject: 'unknown'}}, {doorbell})")
    assert await page.evaluate("find('.waiting p').innerText") == "Garden gate is calling"
    await page.click(".waiting .good")
    assert await called(page) == [["button.press", "answer"]]


@pytest.mark.parametrize(
    ("home", "config", "told"),
    [
        ("home('offline')", "{}", "The bridge can't be reached"),
        ("home('idle')", "{device_id: 'nothing'}", "Choose a line in the card's settings"),
        ("home('idle')", "{device_id: undefined}", "Choose a line in the card's settings"),
    ],
)
async def test_what_can_not_be_used_says_why(page: Page, home: str, config: str, told: str) -> None:
    await show(page, home, config)
    assert await page.evaluate("find('.notice .status').innerText") == told
    assert await buttons(page) == []


async def test_a_bridge_that_comes_back_needs_no_reload(page: Page) -> None:
    await show(page, "home('offline')")
    await show(page, "home('idle')")
    assert "Call Anna" in await buttons(page)


async def test_a_line_can_be_named_by_any_of_its_entities(page: Page) -> None:
    await show(page, "home('ringing')", "{device_id: undefined, entity: 'sensor.c1', name: 'Gate'}")
    assert "Answer" in await buttons(page)


async def test_everything_is_reached_with_the_keyboard_alone(page: Page) -> None:
    await show(page, "home('ringing')")
    await page.evaluate("document.querySelector('#elsewhere').focus()")
    reached = []
    for _ in range(3):
        await page.press("Tab")
        reached.append(await page.evaluate("document.activeElement.shadowRoot.activeElement.innerText"))
    assert reached == ["Answer", "Open door", "Reject"]
    assert await page.evaluate("getComputedStyle(find('.bad')).outlineStyle") == "solid"
    await page.press("Enter")
    assert await called(page) == [["button.press", "reject"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phase", ["idle", "ringing", "talking", "offline"])
async def test_every_text_stands_out_from_its_ground(page: Page, theme: str, phase: str) -> None:
    await page.evaluate(f"document.documentElement.className = '{theme}'")
    await show(page, f"home('{phase}')")
    faint = await page.evaluate("""
      (() => {
        const parse = (color) => color.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
          .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
          .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (node) => {
          for (let at = node; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            if (color[3] !== 0) return color;
          }
        };
        const root = find('sip-phone-card').shadowRoot;
        return [...root.querySelectorAll('.card *')]
          .filter((node) => [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim()))
          .filter((node) => node.checkVisibility() && !node.closest(':disabled'))
          .map((node) => {
            const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
            return [node.textContent, (a + 0.05) / (b + 0.05)];
          })
          .filter(([, contrast]) => contrast < 4.5);
      })()
    """)
    assert faint == []


@pytest.mark.parametrize("phase", ["idle", "ringing", "talking"])
@pytest.mark.parametrize("width", [320, 412, 800, 1280])
async def test_it_fits_whatever_width_it_has(page: Page, width: int, phase: str) -> None:
    await page.resize(width)
    await show(page, f"home('{phase}', {{remote_party: 'Averylongname'.repeat(8)}})", "{camera: 'camera.door'}")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    small = await page.evaluate(
        "[...find('sip-phone-card').shadowRoot.querySelectorAll('button, input')]"
        ".filter((each) => each.checkVisibility())"
        ".map((each) => each.getBoundingClientRect()).filter(({width, height}) => width < 44 || height < 44)"
    )
    assert small == []  # a finger hits 44 pixels


async def test_a_wall_panel_has_the_picture_beside_the_buttons(page: Page) -> None:
    await page.resize(1024)
    await show(page, "home('ringing')", "{camera: 'camera.door'}")
    camera, controls = await page.evaluate(
        "['.camera', '.controls'].map((each) => find(each).getBoundingClientRect().right)"
    )
    assert controls > camera


async def test_nothing_moves_for_who_does_not_want_it(page: Page) -> None:
    await show(page, "home('ringing')")
    shaking = "getComputedStyle(find('.who .status svg')).animationName"
    assert await page.evaluate(shaking) == "shake"
    await page.emulate_media(prefers_reduced_motion="reduce")
    assert await page.evaluate(shaking) == "none"


@pytest.mark.parametrize(
    ("language", "answer"),
    [
        ("de-CH", "Annehmen"),
        ("fr", "Répondre"),
        ("nl", "Opnemen"),
        ("es", "Contestar"),
        ("pl", "Odbierz"),
        ("xx", "Answer"),
    ],
)
async def test_it_speaks_the_language_of_home_assistant(page: Page, language: str, answer: str) -> None:
    await show(page, f"home('ringing', {{}}, {{}}, {{language: '{language}'}})")
    assert (await buttons(page))[0] == answer


async def test_every_language_has_every_text(page: Page) -> None:
    source = await page.evaluate("fetch('sip-phone-card.js').then((answer) => answer.text())")
    table = source.partition("const TEXTS = ")[2].partition("};\n")[0]
    texts = await page.evaluate(f"({table}}})")
    assert set(texts) == {"en", "de", "fr", "nl", "es", "pl"}
    assert {language: set(each) for language, each in texts.items()} == {each: set(texts["en"]) for each in texts}
    places = {language: {key: text.count("{") for key, text in each.items()} for language, each in texts.items()}
    assert places == dict.fromkeys(texts, places["en"])


async def test_the_card_picker_offers_it_for_a_line_and_has_a_form_for_it(page: Page) -> None:
    (entry,) = await page.evaluate("customCards.map(({getEntitySuggestion, ...rest}) => rest)")
    assert (entry["type"], entry["name"], entry["preview"]) == ("sip-phone-card", "SIP Phone", True)
    suggestions = await page.evaluate(
        "['sensor.c1', 'binary_sensor.z', 'light.x', 'sensor.none']"
        ".map((id) => customCards[0].getEntitySuggestion(home('idle'), id))"
    )
    assert suggestions == [{"config": {"type": "custom:sip-phone-card", "device_id": "door"}}, None, None, None]
    assert await page.evaluate("customElements.get('sip-phone-card').getStubConfig(home('idle'))") == {
        "device_id": "door"
    }
    form = await page.evaluate(
        "(() => { const {schema, computeLabel} = customElements.get('sip-phone-card').getConfigForm();"
        " return schema.map((field) => [field.name, computeLabel(field)]) })()"
    )
    assert form == [
        ["device_id", "Line"],
        ["name", "Name"],
        ["camera", "Camera at the door"],
        ["camera_view", "Camera view"],
        ["dial_pad", "Show the dial pad"],
        ["popup", "Pop up when it rings"],
    ]


async def test_a_configuration_that_makes_no_sense_is_refused(page: Page) -> None:
    with pytest.raises(PeerError, match="device_id must be a text"):
        await page.evaluate("document.createElement('sip-phone-card').setConfig({device_id: 5})")


async def opt_in(page: Page) -> None:
    """A card with a pop-up was on a dashboard, and another one is open now."""
    await show(page, "home('idle')", "{popup: true}")
    await page.wait_for("localStorage.getItem('sip-phone-card-popups')")
    await page.evaluate("document.querySelector('main').replaceChildren()")


async def test_a_line_pops_up_on_every_page_and_takes_no_focus(page: Page) -> None:
    await opt_in(page)
    await page.click("#elsewhere")
    await page.evaluate("everywhere(home('ringing'))")
    assert await page.wait_for("find('[role=dialog]').ariaLabel") == "Incoming call"
    await page.write("typed on")
    assert await page.evaluate("document.querySelector('#elsewhere').value") == "typed on"
    await page.click(".good")
    await page.evaluate("everywhere(home('talking'))")
    assert await page.wait_for("find('[role=dialog] sip-phone-card') && find('.timer') !== undefined")
    assert "Hang up" in await buttons(page)
    await page.evaluate("everywhere(home('idle'))")
    await page.wait_for("!find('[role=dialog]')")


async def test_a_pop_up_that_was_closed_stays_closed_until_the_next_call(page: Page) -> None:
    await opt_in(page)
    await page.evaluate("everywhere(home('ringing'))")
    await page.click(".popup > .chip")
    await page.evaluate("everywhere(home('ringing', {missed_calls: '1'}))")
    assert await page.evaluate("find('[role=dialog]')") is None
    await page.evaluate("everywhere(home('idle')); everywhere(home('ringing'))")
    await page.wait_for("find('[role=dialog]')")


async def test_a_call_answered_elsewhere_leaves_no_pop_up(page: Page) -> None:
    await opt_in(page)
    await page.evaluate("everywhere(home('ringing')); everywhere(home('talking'))")
    assert await page.evaluate("find('[role=dialog]')") is None


async def test_nothing_pops_up_over_a_card_that_shows_the_call_already(page: Page) -> None:
    await show(page, "home('ringing')", "{popup: true}")
    await page.wait_for("localStorage.getItem('sip-phone-card-popups')")
    await page.evaluate("everywhere(home('ringing'))")
    assert await page.evaluate("find('[role=dialog]')") is None


async def test_nothing_pops_up_where_nobody_wanted_it(page: Page) -> None:
    await opt_in(page)
    await show(page, "home('idle')", "{popup: false}")
    await page.wait_for("localStorage.getItem('sip-phone-card-popups') === '{}'")
    await page.evaluate("document.querySelector('main').replaceChildren(); everywhere(home('ringing'))")
    assert await page.evaluate("find('[role=dialog]')") is None
