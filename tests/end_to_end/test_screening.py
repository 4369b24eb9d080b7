"""Who is refused and who is answered without a person, as SIPp and a phone see it; settings after a power cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sip_bridge.phone.call import CallState
from tests.end_to_end.bridge import TOPICS, Bridge, Client
from tests.end_to_end.phone import CallMoved, handset
from tests.end_to_end.sounding import heard, utterance, write_wav
from tests.peers.mosquitto import Mosquitto
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import ack, ack_refusal, hung_up, invite, receive

WISH = "Call-Info: <sip:127.0.0.1>;answer-after=0"


@pytest.fixture
def bridge(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Bridge]:
    """A door that answers who asks for it, and plays a greeting; other lines for other callers."""
    write_wav(tmp_path / "greeting.wav", utterance(8000), 8000)
    bridge = Bridge(
        tmp_path,
        mosquitto,
        "  - id: door\n"
        "    kind: direct\n"
        "    codecs: [pcmu]\n"
        f"    auto_answer: {{on_request: true, play: {tmp_path}/greeting.wav, auto_hangup: true}}\n"
        "  - id: greeting\n"
        "    kind: direct\n"
        "    codecs: [pcmu]\n"
        f"    auto_answer: {{after: 0.2, play: {tmp_path}/greeting.wav}}\n"
        "  - id: private\n"
        "    kind: direct\n"
        "    call_from: {block: [sipp]}\n",
    )
    bridge.start()
    yield bridge
    bridge.end()


async def test_a_setting_outlives_a_power_cut_and_refuses_who_calls_then(
    bridge: Bridge, client: Client, sipp: Sipp
) -> None:
    assert (await client.request("set", {"do_not_disturb": True}))["data"]["do_not_disturb"] is True
    bridge.kill()
    bridge.start()
    await client.recorder.settled()
    caller = await sipp.call([invite(), receive(480), ack_refusal(back=2)], bridge.address, user="door")
    ended = await client.event("CALL_ENDED")
    assert (ended["end_reason"], ended["status"], ended["refusal"]) == ("declined", 480, "do_not_disturb")
    assert await client.event_names() == ["CALL_ENDED"]
    assert set(client.call_states()) == {"idle"}
    await caller.succeeded()


async def test_who_asks_for_it_is_answered_and_hears_the_end(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    steps = [invite(WISH), receive(180), receive(200), ack(), *hung_up()]
    caller = await sipp.call(steps, bridge.address, user="door")
    assert (await client.event("CALL_ENDED"))["end_reason"] == "hangup_local"
    assert await client.event_names() == ["INVITE", "RINGING", "OK", "ACK", "PLAYBACK_DONE", "BYE", "CALL_ENDED"]
    await caller.succeeded()


async def test_a_blocked_caller_is_refused_and_nobody_is_rung(bridge: Bridge, client: Client, sipp: Sipp) -> None:
    caller = await sipp.call([invite(WISH), receive(603), ack_refusal(back=2)], bridge.address, user="private")
    private = Client(client.recorder, account="private")
    assert (await private.event("CALL_ENDED"))["refusal"] == "blocked"
    assert await private.event_names() == ["CALL_ENDED"]
    topic = TOPICS.of_account("private", "last_call")
    assert [m.payload["remote"]["user"] for m in client.recorder.messages if m.topic == topic] == ["sipp"]
    await caller.succeeded()


async def test_a_caller_hears_all_of_the_greeting(bridge: Bridge, client: Client) -> None:
    async with handset() as phone:
        call = await phone.dial(f"sip:greeting@{bridge.address}")
        await phone.event(CallMoved, lambda moved: moved.state is CallState.IN_CALL)
        passed = await heard(call, 8000, after=1.0)
    print(passed)
    assert passed.snr_db > 15  # 37 where the machine is idle
    assert sum(passed.gaps_ms) < 100
    answered = await Client(client.recorder, account="greeting").event("OK")
    assert answered["origin"] == "local"
