"""Texts and waiting messages over MQTT."""

import pytest

from sip_bridge.bridge.journal import Journal
from sip_bridge.bridge.publisher import Publisher
from sip_bridge.bridge.service import running
from sip_bridge.mqtt import contract
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import DirectAccount, RegisteredAccount, Secret
from sip_bridge.sip.dialog_info import DialogInfo
from sip_bridge.sip.events import (
    DialogStateReceived,
    MessageReceived,
    MessagesWaiting,
    SubscriptionChanged,
    SubscriptionState,
)
from sip_bridge.sip.status import SIPStatus
from tests.bridge.conftest import LOOPBACK, TOPICS, Mqtt, Phone, as_json, config_of, ringing_uri
from tests.bridge.watcher import watching


async def test_a_text_to_the_line_is_an_event(mqtt: Mqtt, station: Phone, door: str) -> None:
    await station.phone.send_message(door, "Paket für dich \U0001f4e6")
    event = await mqtt.event("MESSAGE")
    assert (event.text, event.content_type, event.method, event.origin) == (
        "Paket für dich \U0001f4e6",
        "text/plain",
        "MESSAGE",
        "remote",
    )
    assert (event.remote.user, event.remote.name, event.call_id) == ("station", "Station", None)


async def test_a_text_goes_out_on_request(mqtt: Mqtt, station: Phone) -> None:
    response = await mqtt.request("send_message", as_json(to=ringing_uri(station), text="Coming", transaction="t"))
    assert response == contract.Response(status="ok", transaction="t", data={"status": 200})
    received = station.events.get_nowait()
    assert isinstance(received, MessageReceived)
    assert (received.text, received.remote.display_name) == ("Coming", "Door")


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        ('{"to": "sip:nobody@127.0.0.1:PORT", "text": "hi"}', "sip_error", "404 Not Found"),
        ('{"to": "sip:x@no-such-host.invalid", "text": "hi"}', "sip_error", "nobody answered"),
        ('{"to": "200", "text": "hi"}', "invalid_payload", "line door has no PBX"),
        ('{"to": "sip:station@127.0.0.1:PORT"}', "invalid_payload", "text: missing"),
        ("hello", "invalid_payload", "expected a JSON object"),
    ],
)
async def test_a_text_that_does_not_arrive_says_why(
    mqtt: Mqtt, station: Phone, payload: str, code: str, message: str
) -> None:
    response = await mqtt.request("send_message", payload.replace("PORT", str(station.phone.client.port)))
    assert response.error is not None
    assert response.error.code == code
    assert message in response.error.message


async def test_a_text_obeys_the_list_of_who_may_be_dialled() -> None:
    door = DirectAccount(id="door", name="Door", user="door", allow_dial=())
    async with running(config_of(door)) as bridge, watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher:
        mqtt = Mqtt(watcher=watcher)
        await mqtt.until(lambda topic, payload: topic.endswith("/state") and payload.state == "online")
        response = await mqtt.request("send_message", as_json(to="sip:a@127.0.0.1", text="hi"))
    assert response.error is not None
    assert response.error.code == "not_allowed"


# --- what a PBX tells of the mailbox ---


class Outlet:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.retained: list[tuple[str, str]] = []
        self.published: list[tuple[str, str]] = []

    def publish(self, topic: str, payload: str, *, qos: int = 1, retain: bool = False, keep: bool = False) -> None:
        self.published.append((topic, payload))

    def retain(self, topic: str, payload: str, *, keep: bool = False) -> None:
        self.retained.append((topic, payload))

    def former(self, topic: str) -> bytes | None:
        return None


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


@pytest.fixture
def phone() -> VoIPPhone:
    account = RegisteredAccount(id="pbx", name="PBX", user="620", server="192.0.2.1", password=Secret("x"))
    return VoIPPhone(SIPClient(LOOPBACK), account, listener=lambda *_: None)


def test_waiting_messages_are_retained_when_they_change(outlet: Outlet, phone: VoIPPhone) -> None:
    publisher = Publisher(outlet, TOPICS, clock=lambda: 0.0)
    for new in (2, 2, 0):
        publisher.tell(phone, MessagesWaiting(line="pbx", waiting=new > 0, new=new, old=8))
    decoded = [(topic, contract.decode(contract.WaitingMessages, payload)) for topic, payload in outlet.retained]
    topic = TOPICS.of_account("pbx", "messages")
    assert decoded == [
        (topic, contract.WaitingMessages(waiting=True, new=2, old=8)),
        (topic, contract.WaitingMessages(waiting=False, new=0, old=8)),
    ]


CHANGED = SubscriptionChanged(line="pbx", subscription="s", package="message-summary", state=SubscriptionState.ACTIVE)


def test_what_the_contract_has_no_word_for_is_not_published(outlet: Outlet, phone: VoIPPhone) -> None:
    publisher = Publisher(outlet, TOPICS, clock=lambda: 0.0)
    info = DialogInfo(entity="sip:a@b", version=0, is_full=True)
    publisher.tell(phone, CHANGED)
    publisher.tell(phone, DialogStateReceived(line="pbx", subscription="s", info=info))
    assert (outlet.retained, outlet.published) == ([], [])


@pytest.mark.parametrize(
    ("state", "status", "reason", "said"),
    [
        (
            SubscriptionState.REFUSED,
            SIPStatus.NOT_FOUND,
            None,
            ["pbx: no message-summary from the PBX: 404 Not Found; trying on"],
        ),
        (SubscriptionState.FAILED, None, "probation", ["pbx: no message-summary from the PBX: probation; trying on"]),
        (SubscriptionState.FAILED, None, None, ["pbx: no message-summary from the PBX: no answer; trying on"]),
        (SubscriptionState.ACTIVE, None, None, []),
    ],
)
def test_a_mailbox_that_can_not_be_followed_is_logged(
    phone: VoIPPhone,
    caplog: pytest.LogCaptureFixture,
    state: SubscriptionState,
    status: SIPStatus | None,
    reason: str | None,
    said: list[str],
) -> None:
    changed = SubscriptionChanged(
        line="pbx", subscription="s", package="message-summary", state=state, status=status, reason=reason
    )
    Journal().tell(phone, changed)
    assert caplog.messages == said
