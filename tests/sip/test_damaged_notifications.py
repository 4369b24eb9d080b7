"""Damaged SUBSCRIBE, NOTIFY and MESSAGE requests: nothing raises, and the bounds hold."""

import random

from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.sip.notifier import MAX_WATCHERS_PER_SOURCE
from sip_bridge.sip.session import Session
from tests.scenario import PBX, Party, RawPeer, Wire
from tests.sip.test_robustness import DAMAGES


@given(st.integers(0, 2**32))
def test_damaged_answers_to_other_usages_never_raise(seed: int) -> None:
    wire, chance = Wire(), random.Random(seed)
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    pbx = RawPeer(wire, PBX.host)
    carol.endpoint.subscribe("620", "100", "dialog", wire.now)
    carol.endpoint.send_message("620", "100", "hi", wire.now)
    carol.endpoint.send_options("620", "100", wire.now)
    carol.drain()
    wire.run(0.1)
    ours = pbx.last("SUBSCRIBE")
    headers = ["Event: dialog", "Subscription-State: active;expires=12"]
    pbx.request(carol, "NOTIFY", call_id=ours.call_id, to_tag=ours.from_.tag, headers=headers)
    wire.run(7)
    for request in [message for message in pbx.received if message.is_request]:
        wire.drops = lambda _: True  # only the damaged one arrives
        more = ["Expires: 60", "Min-Expires: 4000", "Retry-After: 5", "Allow: INVITE, ACK", "Server: x"]
        pbx.respond(request, chance.choice((100, 200, 202, 401, 423, 481, 500)), headers=more)
        damaged = chance.choice(DAMAGES)(chance, wire.sent[-1].data)
        wire.drops = lambda _: False
        wire.carry(damaged, pbx.address, carol.address)
    wire.run(100)
    carol.do(carol.endpoint.end_subscriptions, "620")
    wire.run(100)
    assert carol.endpoint._core.dialogs == {}
    assert carol.endpoint.transactions == 0


SUMMARY = b"Messages-Waiting: yes\r\nVoice-Message: 1/2 (0/1)\r\n"
KIND = "application/simple-message-summary"


@given(st.integers(0, 2**32))
def test_damaged_requests_of_other_usages_never_raise(seed: int) -> None:
    wire, chance = Wire(), random.Random(seed)
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620", message_waiting=True)
    pbx = RawPeer(wire, PBX.host)
    pbx.on_request = lambda request: pbx.respond(request, 200) if request.method in ("REGISTER", "SUBSCRIBE") else None
    carol.do(carol.endpoint.register, "620")
    wire.run(0.1)
    ours = pbx.last("SUBSCRIBE")
    wire.sent.clear()
    pbx.request(carol, "SUBSCRIBE", uri="sip:620@192.0.2.3", headers=["Event: dialog;id=1", "Expires: 60"])
    pbx.request(carol, "MESSAGE", uri="sip:620@192.0.2.3", content=b"hello", content_type="text/plain;charset=utf-8")
    for call_id, tag in ((ours.call_id, ours.from_.tag), ("unasked", None)):
        headers = ["Event: message-summary", "Subscription-State: active;expires=60"]
        pbx.request(carol, "NOTIFY", call_id=call_id, to_tag=tag, headers=headers, content=SUMMARY, content_type=KIND)
    samples = [sent.data for sent in wire.sent]
    for number in range(30):
        data = chance.choice(samples).replace(b"branch=z9hG4bK", b"branch=z9hG4bK%d" % number)
        pbx.send(chance.choice(DAMAGES)(chance, data), carol)
        wire.run(chance.choice((0, 0.02, 2)))
    assert len(carol.endpoint._notifier._watchers) <= MAX_WATCHERS_PER_SOURCE
    carol.do(carol.endpoint.end_subscriptions, "620")
    wire.run(100)
    # A damage that puts two messages together may have made a call.
    assert [user for user in carol.endpoint._core.dialogs.values() if not isinstance(user, Session)] == []
