"""What pyVoIP 1.6.8, 2.0.0a4 and 2.0.0a5 were measured at, row by row of docs/pyvoip.md, against a bare PBX.

A number is the public issue or pull request of tayler6000/pyVoIP that a row is about.
"""

import threading
import time

import pytest

from sip_bridge.errors import InvalidAccountInfoError, InvalidStateError
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.pyvoip.VoIP.call import CallState
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone
from sip_bridge.pyvoip.VoIP.status import PhoneStatus
from sip_bridge.sip.message import SIPMessage
from tests.pyvoip.pbx import Challenger, Dialled, Pbx, Recorded, comes_to, first, parameter, phone_at, recorded, until

# --- registration ---


def test_register_without_authentication(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        assert (phone.get_status(), pbx.registers[0].get("expires")) == (PhoneStatus.REGISTERED, "300")
    assert (phone.get_status(), pbx.registers[-1].get("expires")) == (PhoneStatus.INACTIVE, "0")


@pytest.mark.parametrize(
    ("challenge", "status", "checked"),
    [
        pytest.param("", "401 Unauthorized", ("MD5", None), id="401 MD5 without qop #222"),
        pytest.param('qop="auth"', "401 Unauthorized", ("MD5", "auth"), id="401 MD5 qop=auth #10 #41 #66"),
        pytest.param('qop="auth", algorithm=SHA-256', "401 Unauthorized", ("SHA-256", "auth"), id="SHA-256 #217"),
        pytest.param('qop="auth"', "407 Proxy Authentication Required", ("MD5", "auth"), id="407 #69 #170"),
    ],
)
def test_register_with_authentication(pbx: Pbx, challenge: str, status: str, checked: tuple[str, str | None]) -> None:
    pbx.on_register = challenger = Challenger(challenge, status)
    with phone_at(pbx) as phone:
        assert phone.get_status() is PhoneStatus.REGISTERED
    assert set(challenger.checked) == {checked}
    assert len({each.call_id for each in pbx.registers}) == 1  # #74
    assert len({each.via.branch for each in pbx.registers}) == len(pbx.registers)


def test_status_after_a_failed_register(pbx: Pbx) -> None:  # #229 #263
    pbx.on_register = lambda _: "403 Forbidden"
    phone = VoIPPhone(parameter(pbx))
    with pytest.raises(InvalidAccountInfoError, match="403 Forbidden"):
        phone.start()
    assert (phone.get_status(), phone.NSD) == (PhoneStatus.FAILED, False)


# --- calls to the phone ---


def test_incoming_call_answered(pbx: Pbx) -> None:  # #270 #278 #307 pull/299
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite()
        statuses = [int(pbx.receive(word).status) for word in ("180",)]
        answer = dialled.answered()
        call = first(kind)
        assert (statuses, call.state, answer.session_description[:3]) == ([180], CallState.ANSWERED, b"v=0")
        sender = call.request.headers["From"]
        assert (sender["display-name"], sender["user"]) == ("Front Door", "101")  # #260
        assert call.hooks == [("ringing", call.request.heading)]


def test_remote_bye(pbx: Pbx) -> None:  # #7 #33 #101 #102
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite()
        to = dialled.answered().to
        dialled.request("BYE")
        assert pbx.receive("200").to == to
        call = first(kind)
        until(lambda: ("bye", "BYE " + dialled.target + " SIP/2.0") in call.hooks)
        assert call.state is CallState.ENDED


def test_remote_cancel_while_ringing(pbx: Pbx) -> None:  # #81 #177 #255
    kind = recorded()
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite()
        pbx.receive("180")
        call = first(kind)
        dialled.request("CANCEL", same=True)
        answers = sorted((pbx.receive("200").cseq.method, pbx.receive("487").cseq.method))
        assert answers == ["CANCEL", "INVITE"]
        comes_to(call, CallState.ENDED)
        until(lambda: "bye" in dict(call.hooks))
        with pytest.raises(InvalidStateError):
            call.answer()


def test_deny(pbx: Pbx) -> None:
    with phone_at(pbx):  # the default is to deny
        dialled = Dialled(pbx)
        dialled.invite()
        assert pbx.receive("486").phrase == "Busy Here"


def test_dtmf_keys_without_marker_and_doubled(pbx: Pbx) -> None:  # #283
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite()
        port = _rtp_port(dialled.answered())
        for i, digit in enumerate("5678"):
            for sequence, flags in enumerate((b"\x0a\x00\xa0", b"\x8a\x03\x20", b"\x8a\x03\x20")):
                packet = RTPPacket(
                    payload_type=101,
                    marker=digit != "6" and sequence == 0,
                    sequence=10 * i + sequence,
                    timestamp=8000 * i,
                    ssrc=7,
                    payload=bytes([int(digit)]) + flags,
                ).format()
                pbx.rtp.sendto(packet, ("127.0.0.1", port))
                pbx.rtp.sendto(packet, ("127.0.0.1", port))
        call = first(kind)
        assert [_key(call) for _ in range(4)] == list("5678")
        assert call.get_dtmf() == ""


def test_re_invite_sendonly_is_answered_recvonly(pbx: Pbx) -> None:
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite()
        dialled.answered()
        dialled.request("INVITE", body=pbx.sdp("0 101", "a=sendonly"))
        assert b"a=recvonly" in dialled.answered().content
        assert first(kind).state is CallState.ANSWERED


def test_two_calls_at_once(pbx: Pbx) -> None:  # #173
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind) as phone:
        calls = [Dialled(pbx, name) for name in ("one", "two")]
        for dialled in calls:
            dialled.invite()
            dialled.answered()
        assert {name: call.state for name, call in phone.calls.items()} == dict.fromkeys(
            ("one", "two"), CallState.ANSWERED
        )


def test_invite_without_sdp(pbx: Pbx) -> None:  # #290
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite(b"")
        answer = dialled.answered(pbx.sdp())
        assert b"m=audio" in answer.content
        assert pbx.packet().payload_type == 0


def test_invite_with_g722_only(pbx: Pbx) -> None:  # #247
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        dialled = Dialled(pbx)
        dialled.invite(pbx.sdp("9"))
        assert pbx.receive("488").phrase == "Not Acceptable Here"
        assert kind.calls == []


@pytest.mark.parametrize(
    ("method", "status"),
    [("OPTIONS", 200), ("NOTIFY", 481), ("INFO", 481), ("MESSAGE", 200), ("UPDATE", 481), ("SUBSCRIBE", 489)],
)  # #46 #126 #158 #187 #251 #304
def test_requests_out_of_a_dialog_are_answered(pbx: Pbx, method: str, status: int) -> None:
    with phone_at(pbx):
        kind = ("Event: x", "Content-Type: text/plain")[method == "MESSAGE" :][:1]
        Dialled(pbx).request(method, *kind)
        assert int(pbx.receive(str(status)).status) == status


# --- calls of the phone ---


def test_outgoing_180_200(pbx: Pbx) -> None:  # #226 #252 #272 #312 pull/313
    kind = recorded()
    with phone_at(pbx, call_class=kind) as phone:
        call = phone.call("101")
        comes_to(call, CallState.DIALING)
        invite = pbx.receive("INVITE")
        pbx.reply(invite, "180 Ringing")
        contact = f"sip:elsewhere@127.0.0.1:{pbx.port}"
        pbx.reply(invite, "200 OK", body=pbx.sdp(), contact=contact)
        ack = pbx.receive("ACK")
        assert (ack.uri, ack.to.tag, ack.cseq.number) == (contact, "pbx", invite.cseq.number)
        until(lambda: len(first(kind).hooks) == 2)
        assert sorted(first(kind).hooks) == [("answered", "SIP/2.0 200 OK"), ("ringing", "SIP/2.0 180 Ringing")]
        assert call.state is CallState.ANSWERED
        assert (call.request.method, call.request.headers["Call-ID"]) == ("INVITE", call.call_id)


def test_record_route_in_the_200(pbx: Pbx) -> None:  # #297
    with phone_at(pbx) as phone:
        phone.call("101")
        invite = pbx.receive("INVITE")
        route = f"<sip:127.0.0.1:{pbx.port};lr>"
        pbx.reply(invite, "200 OK", f"Record-Route: {route}", body=pbx.sdp(), contact="sip:b@192.0.2.77")
        ack = pbx.receive("ACK")
        assert (ack.uri, ack.get("route")) == ("sip:b@192.0.2.77", route)


@pytest.mark.parametrize("pause", [0.0, 0.4], ids=["at once", "after 0.4 s"])
@pytest.mark.parametrize("status", ["401 Unauthorized", "407 Proxy Authentication Required"])
def test_outgoing_100_then_challenge(pbx: Pbx, status: str, pause: float) -> None:  # pull/298 #69 #93 #94 #167 pull/176
    challenger = Challenger('qop="auth"', status)
    with phone_at(pbx) as phone:
        call = phone.call("101")
        invite = pbx.receive("INVITE")
        pbx.reply(invite, "100 Trying")
        time.sleep(pause)  # what the scenario is
        pbx.reply(invite, challenger.refusal)
        again = pbx.receive("INVITE")
        assert challenger(again) == "200 OK"
        assert again.cseq.number == invite.cseq.number + 1
        Dialled.answering(pbx, again)
        comes_to(call, CallState.ANSWERED)


def test_the_authenticated_invite_uses_a_new_branch(pbx: Pbx) -> None:  # #167 pull/245 pull/303
    with phone_at(pbx) as phone:
        phone.call("101")
        invite = pbx.receive("INVITE")
        pbx.reply(invite, Challenger("").refusal)
        again = pbx.receive("INVITE")
        assert (again.via.branch != invite.via.branch, again.call_id) == (True, invite.call_id)
        pbx.reply(again, "486 Busy Here")
        pbx.receive("ACK")


def test_183_with_sdp_then_200(pbx: Pbx) -> None:
    kind = recorded()
    with phone_at(pbx, call_class=kind) as phone:
        call = phone.call("101")
        invite = pbx.receive("INVITE")
        pbx.reply(invite, "183 Session Progress", body=pbx.sdp())
        comes_to(call, CallState.PROGRESS)
        Dialled.answering(pbx, invite)
        comes_to(call, CallState.ANSWERED)
        until(lambda: sorted(dict(first(kind).hooks)) == ["answered", "progress"])


def test_cancel_of_the_own_call(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        call = phone.call("101")
        invite = pbx.receive("INVITE")
        pbx.reply(invite, "180 Ringing")
        call.cancel()
        cancel = pbx.receive("CANCEL")
        assert (cancel.uri, cancel.via.branch) == (invite.uri, invite.via.branch)
        pbx.reply(cancel, "200 OK")
        pbx.reply(invite, "487 Request Terminated")
        comes_to(call, CallState.ENDED)


@pytest.mark.parametrize(
    ("status", "hook"),
    [
        ("486 Busy Here", "busy"),
        ("480 Temporarily Unavailable", "unavailable"),
        ("603 Decline", "busy"),
        ("403 Forbidden", "unavailable"),
        ("404 Not Found", "not_found"),
    ],
)  # #187 #244 #264 #274
def test_a_refused_call_ends(pbx: Pbx, status: str, hook: str) -> None:
    kind = recorded()
    with phone_at(pbx, call_class=kind) as phone:
        call = phone.call("101")
        invite = pbx.receive("INVITE")
        pbx.reply(invite, status)
        ack = pbx.receive("ACK")
        assert (ack.to.tag, ack.via.branch) == ("pbx", invite.via.branch)
        comes_to(call, CallState.ENDED)
        until(lambda: first(kind).hooks == [(hook, f"SIP/2.0 {status}")])
        assert call.status == int(status[:3])


def test_a_silent_server_does_not_hold_the_caller(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        began = time.monotonic()
        call = phone.call("101")
        assert time.monotonic() - began < 1
        first_copy, second_copy = (pbx.receive("INVITE").raw for _ in range(2))
        assert first_copy == second_copy
        assert call.state is CallState.DIALING
        call.cancel()


def test_own_hangup(pbx: Pbx) -> None:  # #78 #252 pull/200
    with phone_at(pbx) as phone:
        call = phone.call("101")
        invite = pbx.receive("INVITE")
        Dialled.answering(pbx, invite)
        comes_to(call, CallState.ANSWERED)
        call.hangup()
        bye = pbx.receive("BYE")
        assert (bye.to.tag, bye.cseq.number, bye.number("max-forwards")) == ("pbx", invite.cseq.number + 1, 70)
        assert bye.via.branch != invite.via.branch
        assert call.state is CallState.ENDED


# --- what it costs ---


def test_a_call_needs_no_thread_of_its_own(pbx: Pbx) -> None:
    kind = recorded(answers=True)
    with phone_at(pbx, call_class=kind):
        before = threading.active_count()
        dialled = Dialled(pbx)
        dialled.invite()
        dialled.answered()
        until(lambda: threading.active_count() == before)


def test_an_idle_phone_needs_no_time(pbx: Pbx) -> None:
    with phone_at(pbx):
        before = time.process_time()
        time.sleep(0.5)  # what is measured
        assert time.process_time() - before < 0.02


def test_an_idle_call_needs_little_time(pbx: Pbx) -> None:
    with phone_at(pbx, call_class=recorded(answers=True)):
        dialled = Dialled(pbx)
        dialled.invite()
        dialled.answered()
        before = time.process_time()
        time.sleep(1)  # what is measured
        assert time.process_time() - before < 0.1


def test_rtp_is_paced_without_drift_and_begins_with_a_marker(pbx: Pbx) -> None:  # #1 #105 #181 #266
    with phone_at(pbx, call_class=recorded(answers=True)):
        dialled = Dialled(pbx)
        dialled.invite()
        dialled.answered()
        packets, began = [pbx.packet()], time.monotonic()
        packets += [pbx.packet() for _ in range(50)]
        assert time.monotonic() - began == pytest.approx(1.0, abs=0.2)  # a busy machine stalls now and then
        assert [packet.marker for packet in packets] == [True] + [False] * 50
        assert {len(packet.payload) for packet in packets} == {160}


def _key(call: Recorded) -> str:
    keys: list[str] = []

    def came() -> bool:
        keys.append(call.get_dtmf())
        return bool(keys[-1])

    until(came)
    return keys[-1]


def _rtp_port(answer: SIPMessage) -> int:
    line = next(line for line in answer.content.decode().splitlines() if line.startswith("m=audio"))
    return int(line.split()[1])
