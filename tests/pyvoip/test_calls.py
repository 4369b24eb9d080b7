"""VoIPCall and VoIPPhone: sound, keys, transfers, texts and limits."""

import threading
from typing import Any

import pytest

from sip_bridge.media.g711 import decode_ulaw, encode_ulaw
from sip_bridge.media.rtp import RTPPacket
from sip_bridge.pyvoip._audio import MAX_UNREAD, CallAudio, to_8_bit, to_16_bit
from sip_bridge.pyvoip.RTP import PayloadType
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.error import InvalidRangeError, InvalidStateError, NoPortsAvailableError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter, VoIPPhoneParamter
from tests.peers.ports import LOOPBACK, free_ports
from tests.pyvoip.pbx import Dialled, Pbx, comes_to, parameter, phone_at, until

TONE = bytes((i * 16) % 256 for i in range(160))


def placed(pbx: Pbx, phone: VoIPPhone) -> tuple[VoIPCall, Dialled]:
    call = phone.call("101")
    dialled = Dialled.answering(pbx, pbx.receive("INVITE"))
    comes_to(call, CallState.ANSWERED)
    return call, dialled


def say(pbx: Pbx, port: int, sequence: int, samples: bytes) -> None:
    payload = encode_ulaw(to_16_bit(samples))
    packet = RTPPacket(payload_type=0, sequence=sequence, timestamp=160 * sequence, ssrc=1, payload=payload)
    pbx.rtp.sendto(packet.format(), (LOOPBACK, port))


# --- sound ---


def test_what_is_written_is_said(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        call, _ = placed(pbx, phone)
        call.write_audio(TONE)
        expected = encode_ulaw(to_16_bit(TONE))
        until(lambda: pbx.packet().payload == expected)
        assert pbx.packet().payload == b"\xff" * 160


def test_what_is_heard_can_be_read(pbx: Pbx) -> None:  # #156 #227 #230
    heard = to_8_bit(decode_ulaw(encode_ulaw(to_16_bit(TONE))))
    with phone_at(pbx) as phone:
        call, dialled = placed(pbx, phone)
        for sequence in range(12):
            say(pbx, call.port, sequence, TONE)
        assert heard * 3 in call.read_audio(1000)
        dialled.request("BYE")
        comes_to(call, CallState.ENDED)
        assert len(call.read_audio(100_000)) < 8000  # what is left, not filled up
        assert (call.read_audio(), call.read_audio(4, blocking=False)) == (b"", b"\x80" * 4)


def test_whoever_reads_goes_on_when_the_call_ends(pbx: Pbx) -> None:
    read: list[bytes] = []
    with phone_at(pbx) as phone:
        call, dialled = placed(pbx, phone)
        reader = threading.Thread(target=lambda: read.append(call.read_audio()))
        reader.start()
        dialled.request("BYE")
        reader.join()
    assert read == [b""]


def test_old_sound_can_be_forgotten(pbx: Pbx) -> None:  # #257
    audio = CallAudio()
    audio.write(bytes(320), 8000)
    audio.flush()
    assert audio.take(2, blocking=False) == b"\x80\x80"


def test_what_nobody_reads_is_bounded() -> None:
    audio = CallAudio()
    for _ in range(MAX_UNREAD // 160):
        audio.write(bytes(320), 8000)
    audio.write(b"\x00\x40" * 160, 8000)
    audio.close()
    read = audio.take(2 * MAX_UNREAD, blocking=True)
    assert (len(read), read[-160:]) == (MAX_UNREAD, b"\xc0" * 160)


def test_sound_of_another_rate_is_converted() -> None:
    audio = CallAudio()
    audio.put(b"\xc0" * 1600)
    said = [audio.read(16000) for _ in range(3)]
    audio.write(b"\x00\x40" * 320, 16000)
    heard = audio.take(160, blocking=True)
    assert ([len(each or b"") for each in said], len(heard)) == ([640] * 3, 160)
    assert max(heard) == pytest.approx(0xC0, abs=8)


def test_samples_of_8_bit_are_the_high_bytes_of_16() -> None:
    assert (to_16_bit(b"\x00\x80\xff"), to_8_bit(b"\x00\x80\xff\xff\x00\x7f")) == (
        b"\x00\x80\x00\x00\x00\x7f",
        b"\x00\x7f\xff",
    )


# --- orders ---


def test_orders_that_do_not_fit_the_state_are_refused(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        call, _ = placed(pbx, phone)
        for order in (call.answer, call.deny, call.cancel):
            with pytest.raises(InvalidStateError, match="ANSWERED"):
                order()
        call.hangup()
        with pytest.raises(InvalidStateError, match="ENDED"):
            call.hangup()


def test_a_blind_transfer_ends_the_call_when_the_other_party_agrees(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        call, _ = placed(pbx, phone)
        asked: list[bool] = []
        asking = threading.Thread(target=lambda: asked.append(call.transfer(uri="<sip:102@pbx.example>")))
        asking.start()
        refer = pbx.receive("REFER")
        pbx.reply(refer, "202 Accepted")
        pbx.receive("BYE")
        asking.join()
        assert (asked, refer.get("refer-to"), call.state) == ([True], "<sip:102@pbx.example>", CallState.ENDED)


def test_a_transfer_that_is_refused_leaves_the_call(pbx: Pbx) -> None:  # #308
    with phone_at(pbx) as phone:
        call, _ = placed(pbx, phone)
        asked: list[bool] = []
        asking = threading.Thread(target=lambda: asked.append(call.transfer(user="102")))
        asking.start()
        pbx.reply(pbx.receive("REFER"), "603 Decline")
        asking.join()
        assert (asked, call.state) == ([False], CallState.ANSWERED)
        with pytest.raises(RuntimeError, match="user or a uri"):
            call.transfer()


def test_an_attended_transfer_waits_for_the_new_call(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        call, dialled = placed(pbx, phone)
        asked: list[bool] = []
        asking = threading.Thread(target=lambda: asked.append(call.transfer(user="102", blind=False)))
        asking.start()
        refer = pbx.receive("REFER")
        pbx.reply(refer, "202 Accepted")
        dialled.request(
            "NOTIFY",
            "Event: refer",
            "Subscription-State: terminated;reason=noresource",
            "Content-Type: message/sipfrag",
            body=b"SIP/2.0 200 OK",
        )
        pbx.receive("200")
        asking.join()
        assert asked == [True]


def test_keys_can_be_pressed(pbx: Pbx) -> None:  # #88 #180
    with phone_at(pbx) as phone:
        call, _ = placed(pbx, phone)
        call.send_dtmf("5")
        until(lambda: pbx.packet().payload[:1] == b"\x05")


def test_a_call_offers_the_codecs_that_it_is_given(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        call = phone.call("101", [PayloadType.PCMA, PayloadType.PCMU, PayloadType.EVENT])
        invite = pbx.receive("INVITE")
        assert b"RTP/AVP 8 0 " in invite.content
        assert call.ms == {8: PayloadType.PCMA, 0: PayloadType.PCMU, 101: PayloadType.EVENT}
        pbx.reply(invite, "486 Busy Here")
        pbx.receive("ACK")
        with pytest.raises(RuntimeError, match="GSM"):
            phone.call("101", [PayloadType.GSM])


# --- hooks ---


class Bare(VoIPCall):
    """Hooks as the reference's examples write some of them: without the message."""

    told: list[str]

    def ringing(self, invite_request: Any = None) -> None:
        self.answer()

    def bye(self) -> None:  # type: ignore[override]
        super().bye()
        self.told.append("bye")


def test_a_hook_may_go_without_the_message(pbx: Pbx) -> None:
    Bare.told = []
    with phone_at(pbx, call_class=Bare):
        dialled = Dialled(pbx)
        dialled.invite()
        dialled.answered()
        dialled.request("BYE")
        until(lambda: Bare.told == ["bye"])


class Blocked(VoIPCall):
    """Stays in its hook until it may go on."""

    go_on: threading.Event

    def ringing(self, request: Any = None) -> None:
        self.go_on.wait(10)
        super().ringing(request)


def test_a_hook_may_block(pbx: Pbx) -> None:
    Blocked.go_on = threading.Event()
    with phone_at(pbx, call_class=Blocked):
        one, other = Dialled(pbx, "one"), Dialled(pbx, "other")
        one.invite()
        other.invite()
        assert {pbx.receive("180").call_id for _ in range(2)} == {"one", "other"}
        Blocked.go_on.set()
        assert {pbx.receive("486").call_id for _ in range(2)} == {"one", "other"}


def test_calls_that_are_over_are_forgotten_with_the_next(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        for name in ("one", "other"):
            dialled = Dialled(pbx, name)
            dialled.invite()
            pbx.receive("486")
            until(lambda: [each.state for each in phone.calls.values()][-1:] == [CallState.ENDED])
        assert list(phone.calls) == ["other"]


# --- the phone ---


def test_the_misspelt_name_is_the_same() -> None:
    assert VoIPPhoneParamter is VoIPPhoneParameter


def test_a_text_says_whether_it_was_taken(pbx: Pbx) -> None:  # #33 #79
    with phone_at(pbx) as phone:
        for status, taken in (("200 OK", True), ("404 Not Found", False)):
            said: list[bool] = []
            saying = threading.Thread(target=lambda said=said: said.append(phone.message("101", "ä")))
            saying.start()
            message = pbx.receive("MESSAGE")
            pbx.reply(message, status)
            saying.join()
            assert (said, message.content, message.get("content-length")) == ([taken], "ä".encode(), "2")


def test_a_range_of_ports_has_to_be_one(pbx: Pbx) -> None:
    with pytest.raises(InvalidRangeError):
        VoIPPhone(parameter(pbx, rtp_port_low=20000, rtp_port_high=10000))


def test_a_call_without_a_port_is_refused(pbx: Pbx) -> None:
    port = free_ports(2)
    with phone_at(pbx, rtp_port_low=port, rtp_port_high=port + 1) as phone:
        phone.call("101")
        with pytest.raises(NoPortsAvailableError):
            phone.call("102")
        pbx.reply(pbx.receive("INVITE"), "486 Busy Here")
        pbx.receive("ACK")


def test_a_call_needs_a_phone_that_is_started(pbx: Pbx) -> None:
    with pytest.raises(InvalidStateError):
        VoIPPhone(parameter(pbx)).call("101")


def test_a_call_is_made_by_its_phone(pbx: Pbx) -> None:
    with phone_at(pbx) as phone:
        request = SIPMessage(b"INVITE sip:a@h SIP/2.0\r\nCall-ID: c\r\n\r\n")
        connection = phone.sip.make_connection(request)
        with pytest.raises(InvalidStateError):
            VoIPCall(phone, CallState.RINGING, request, 1, LOOPBACK, connection)


class Listening(VoIPCall):
    """Takes keys itself, and is not to be disturbed while it does."""

    taken: list[tuple[str, str]]

    def ringing(self, request: Any = None) -> None:
        self.answer()

    def dtmf_callback(self, code: str) -> None:
        self.taken.append((code, threading.current_thread().name.split(" of ")[0]))
        if code == "*":
            raise ValueError("not that one")
        if code == "#":
            self.hangup()


def test_keys_are_told_in_a_thread_that_may_block(pbx: Pbx, caplog: pytest.LogCaptureFixture) -> None:
    Listening.taken = []
    with phone_at(pbx, call_class=Listening):
        dialled = Dialled(pbx)
        dialled.invite()
        dialled.answered()
        for i, key in enumerate("1*#"):
            relay = f"Signal={key}\r\nDuration=160\r\n".encode()
            dialled.request("INFO", "Content-Type: application/dtmf-relay", body=relay)
            pbx.receive("200")
            until(lambda i=i: len(Listening.taken) > i)  # type: ignore[misc]
        pbx.receive("BYE")
    assert Listening.taken == [(key, "dtmf_callback") for key in "1*#"]
    assert "dtmf_callback of call call-1 failed" in caplog.text


def test_a_key_password_is_not_shown(pbx: Pbx) -> None:
    assert "sesame" not in repr(parameter(pbx, key_password="sesame"))


class Late(VoIPCall):
    """Takes its time to be made."""

    go_on: threading.Event
    heard: list[str]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.go_on.wait(10)
        self.is_made = True

    def answered(self, request: Any = None) -> None:
        self.heard.append(f"answered: {self.is_made}")

    def bye(self, request: Any = None) -> None:
        self.heard.append(f"bye: {self.is_made}")


def test_hooks_wait_for_their_call_to_be_made(pbx: Pbx) -> None:
    Late.go_on, Late.heard = threading.Event(), []
    with phone_at(pbx, call_class=Late) as phone:
        calling = threading.Thread(target=phone.call, args=("101",))
        calling.start()
        dialled = Dialled.answering(pbx, pbx.receive("INVITE"))
        dialled.request("BYE")
        pbx.receive("200")
        Late.go_on.set()
        until(lambda: len(Late.heard) == 2)
        calling.join()
    assert sorted(Late.heard) == ["answered: True", "bye: True"]  # each in a thread of its own


class Ringing(VoIPCall):
    """Stays in the hook that tells of the other party's ringing."""

    go_on: threading.Event
    heard: list[str]

    def ringing(self, request: Any = None) -> None:
        self.heard.append(request.heading)
        self.go_on.wait(10)


def test_a_hook_that_is_at_work_is_not_started_again(pbx: Pbx) -> None:
    Ringing.go_on, Ringing.heard = threading.Event(), []
    with phone_at(pbx, call_class=Ringing) as phone:
        call = phone.call("101")
        invite = pbx.receive("INVITE")
        for status in ("180 One", "180 Two", "183 Three"):
            pbx.reply(invite, status)
        comes_to(call, CallState.PROGRESS)
        assert Ringing.heard == ["SIP/2.0 180 One"]
        Ringing.go_on.set()
        call.cancel()
        pbx.receive("CANCEL")
        pbx.reply(invite, "487 Request Terminated")
