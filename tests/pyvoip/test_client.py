"""SIPClient keeps what its document promises; the promise stands with each test."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from sip_bridge import pyvoip
from sip_bridge.errors import TransportError
from sip_bridge.media.sdp import SessionDescription
from sip_bridge.pyvoip import SIP, _engine
from sip_bridge.pyvoip._engine import LINE
from sip_bridge.pyvoip._loop import Workers
from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.networking import sock
from sip_bridge.pyvoip.networking.nat import NATError
from sip_bridge.pyvoip.networking.sock import VoIPConnection
from sip_bridge.pyvoip.networking.transport import TransportMode
from sip_bridge.pyvoip.RTP import PayloadType, TransmitType
from sip_bridge.pyvoip.SIP.client import SIPClient
from sip_bridge.pyvoip.SIP.error import InvalidAccountInfoError, SIPParseError
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.pyvoip.VoIP.error import InvalidStateError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone
from sip_bridge.pyvoip.VoIP.status import PhoneStatus
from tests.peers.ports import LOOPBACK
from tests.phone.certificates import Authority
from tests.pyvoip.pbx import USER, Challenger, Dialled, Pbx, client_of, parameter, until


@contextmanager
def started(client: SIPClient) -> Iterator[SIPClient]:
    client.start()
    try:
        yield client
    finally:
        client.stop()


# --- "starts the SIPClient and registers with the PBX/VoIP server"; "stops the SIPClient and deregisters" ---


def test_start_registers_and_stop_deregisters(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        assert (client.NSD, client.is_registered) == (True, True)
    assert (client.NSD, [each.get("expires") for each in pbx.registers]) == (False, ["300", "0"])


def test_a_client_can_be_started_again(pbx: Pbx) -> None:  # #229
    client = client_of(pbx)
    for _ in range(2):
        with started(client):
            assert client.is_registered
    assert len({each.call_id for each in pbx.registers}) == 2  # #316


def test_a_client_starts_once(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client, pytest.raises(RuntimeError, match="started already"):
        client.start()


def test_stop_may_be_called_twice(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        client.stop()


def test_a_client_that_is_not_started_does_nothing(pbx: Pbx) -> None:
    with pytest.raises(InvalidStateError):
        client_of(pbx).register()


# --- "online for at least 300 seconds. The REGISTER thread will call this function every 295 seconds" ---


def test_register_asks_for_300_seconds_and_renews_after_295(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        registration = client.engine.client.endpoint._lines.registration(LINE)
        left = client.loop.call(lambda: registration._alarm.deadline - client.engine.client.now)
        assert (pbx.registers[0].get("expires"), round(left / 5)) == ("300", 295 // 5)


def test_register_renews_earlier_when_the_server_grants_less(pbx: Pbx) -> None:
    pbx.on_register = lambda _: "200 OK\r\nExpires: 2"
    with started(client_of(pbx)):
        until(lambda: len(pbx.registers) == 2)
    assert [each.cseq.number for each in pbx.registers] == [1, 2, 3]


def test_register_and_deregister_say_whether_it_worked(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        assert (client.register(), client.deregister(), client.is_registered) == (True, True, False)


def test_register_without_an_answer_is_false(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        pbx.on_register, client.register_timeout = (lambda _: None), 0
        assert (client.register(), client.register_failures) == (False, 0)
        pbx.on_register = lambda _: "200 OK"


# --- "thrown when SIPClient gets a bad response when trying to register"; "a fatal error, e.g., failed to register" ---


def test_a_refusal_is_told_both_ways_and_ends_with_stop_and_start(pbx: Pbx) -> None:
    fatal: list[str] = []
    pbx.on_register = lambda _: "403 Forbidden"
    client = client_of(pbx, fatal_callback=lambda: fatal.append("called"))
    with pytest.raises(SIP.InvalidAccountInfoError, match="403 Forbidden"):
        client.start()
    assert (fatal, len(pbx.registers), SIP.InvalidAccountInfoError) == (["called"], 1, InvalidAccountInfoError)
    client.stop()
    pbx.on_register = lambda _: "200 OK"
    with started(client):
        assert client.is_registered


def test_a_wrong_password_is_not_tried_again(pbx: Pbx) -> None:  # #85 #125: registration loops
    pbx.on_register = lambda _: Challenger('qop="auth"').refusal
    client = client_of(pbx)
    with pytest.raises(InvalidAccountInfoError, match="401"):
        client.start()
    client.stop()
    assert len(pbx.registers) == 2


def test_other_failures_count_up_to_the_threshold(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyvoip, "REGISTER_FAILURE_THRESHOLD", 2)
    pbx.on_register = lambda _: "503 Service Unavailable"
    phone = VoIPPhone(parameter(pbx))
    with pytest.raises(InvalidAccountInfoError, match="503"):
        phone.start()
    assert (len(pbx.registers), phone.get_status()) == (2, PhoneStatus.FAILED)


def test_a_silent_server_is_a_failure_after_a_while(pbx: Pbx) -> None:
    pbx.on_register = lambda _: None
    phone = VoIPPhone(parameter(pbx))
    phone.sip.register_timeout = 0
    with pytest.raises(TimeoutError):
        phone.start()
    assert phone.get_status() is PhoneStatus.FAILED


def test_a_registration_that_is_lost_later_ends_the_phone(pbx: Pbx) -> None:
    pbx.on_register = lambda _: "200 OK\r\nExpires: 2" if len(pbx.registers) == 1 else "403 Forbidden"
    phone = VoIPPhone(parameter(pbx))
    phone.start()
    until(lambda: phone.get_status() is PhoneStatus.FAILED)
    phone.stop(failed=True)
    assert not phone.NSD


# --- "starts a new SIP dialog and sends the request using the request to determine its destination" ---


def _options(pbx: Pbx, client: SIPClient) -> str:
    return (
        f"OPTIONS {pbx.contact} SIP/2.0\r\nVia: SIP/2.0/UDP {LOOPBACK}:{client.bind_port};branch=z9hG4bKown\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:620@{LOOPBACK}>;tag=own\r\nTo: <{pbx.contact}>\r\nCall-ID: own\r\n"
        "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )


def test_send_goes_where_the_request_says_and_brings_the_answer(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        connection = client.send(_options(pbx, client))
        asked = pbx.receive("OPTIONS")
        assert asked.raw.decode() == _options(pbx, client)
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.01)
        pbx.reply(asked, "200 OK")
        assert connection.peak() == connection.recv()
        connection.close()
        assert connection.recv() == b""


def test_send_refuses_what_is_no_message(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client, pytest.raises(SIPParseError):
        client.send("hello")


# --- "generates a SIP INVITE request"; "generates a BYE request, and then transmits the generated request" ---


def test_invite_and_bye_make_a_call_whose_sound_is_the_callers(pbx: Pbx) -> None:
    types = {40000: {0: PayloadType.PCMU, 101: PayloadType.EVENT}}
    with started(client_of(pbx)) as client:
        request, call_id, session_id, connection = client.invite("101", types, TransmitType.SENDONLY)
        invite = pbx.receive("INVITE")
        offer = SessionDescription.parse(invite.content)
        assert (invite.raw, call_id) == (request.raw, invite.call_id)
        assert (offer.session_id, offer.media[0].port, offer.media[0].formats, offer.media[0].direction) == (
            session_id,
            40000,
            ("0", "101"),
            "sendonly",
        )
        pbx.reply(invite, "180 Ringing")
        Dialled.answering(pbx, invite)
        came = [SIPMessage(connection.recv(timeout=5)).status for _ in range(2)]
        client.bye(request)
        assert (came, pbx.receive("BYE").to.tag) == ([180, 200], "pbx")
        until(lambda: not client.engine.connections)
        with pytest.raises(InvalidStateError):
            client.cancel(request)


def test_cancel_gives_up_an_invite(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        request, *_ = client.invite("101", {40000: {0: PayloadType.PCMU}}, TransmitType.SENDRECV)
        invite = pbx.receive("INVITE")
        pbx.reply(invite, "180 Ringing")
        until(client.engine.connections[invite.call_id]._messages.qsize)
        client.cancel(request)
        pbx.reply(pbx.receive("CANCEL"), "200 OK")
        pbx.reply(invite, "487 Request Terminated")


def test_a_call_that_is_up_is_hung_up_by_stop(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        client.invite("101", {40000: {0: PayloadType.PCMU}}, TransmitType.SENDRECV)
        Dialled.answering(pbx, pbx.receive("INVITE"))
    pbx.receive("BYE")


# --- "a function that tells the VoIPPhone instance it is receiving a call" ---


def _response(request: SIPMessage, status: str, body: str = "") -> str:
    copied = [line for line in request.raw.decode().split("\r\n") if line.split(":")[0] in _COPIED]
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return "\r\n".join([f"SIP/2.0 {status}", *copied, f"{kind}Content-Length: {len(body)}", "", body])


_COPIED = ("Via", "From", "To", "Call-ID", "CSeq")


class Callback:
    """Answers each call with a status and a description."""

    def __init__(self, status: str, body: str = "") -> None:
        self.status, self.body = status, body
        self.threads: list[str] = []
        self.connections: list[VoIPConnection] = []

    def __call__(self, connection: VoIPConnection, request: SIPMessage) -> str | None:
        self.threads.append(threading.current_thread().name)
        self.connections.append(connection)
        connection.send(_response(request, self.status, self.body))
        return None


def test_a_callback_may_answer_a_call_by_itself(pbx: Pbx) -> None:
    callback = Callback("200 OK", pbx.sdp().decode())
    with started(client_of(pbx, call_callback=callback)):
        dialled = Dialled(pbx)
        dialled.invite()
        answer = dialled.answered()
        dialled.request("INVITE", body=pbx.sdp())
        pbx.receive("488")
        callback.connections[0].send(f"BYE {pbx.contact} SIP/2.0\r\nCall-ID: call-1\r\n\r\n")
        assert (answer.content, pbx.receive("BYE").call_id) == (pbx.sdp(), "call-1")
    assert callback.threads == ["call_callback of call-1"]


def test_a_callback_may_refuse_a_call_by_itself(pbx: Pbx) -> None:
    with started(client_of(pbx, call_callback=Callback("603 Decline"))):
        Dialled(pbx).invite()
        assert pbx.receive("603").to.tag


def test_a_callback_that_fails_is_logged_and_harms_nothing(pbx: Pbx, caplog: pytest.LogCaptureFixture) -> None:
    with started(client_of(pbx, call_callback=Callback("no status"))) as client:
        Dialled(pbx).invite()
        pbx.receive("180")
        until(lambda: "call_callback of call-1 failed" in caplog.text)
        assert client.is_registered


# --- threads ---


def test_a_blocking_call_on_the_loops_own_thread_raises_at_once(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client, pytest.raises(RuntimeError, match="own thread"):
        client.loop.call(client.register)


def test_what_still_waits_when_the_client_stops_is_told(pbx: Pbx) -> None:
    told: list[Any] = []

    def register() -> None:
        try:
            client.register()
        except InvalidStateError as error:
            told.append(str(error))

    with started(client_of(pbx)) as client:
        pbx.on_register = lambda _: None
        waiting = threading.Thread(target=register)
        waiting.start()
        until(lambda: len(pbx.registers) == 2)
    waiting.join()
    assert told == ["the phone has stopped"]


# --- "cert_file, key_file, and key_password are used to load certificates in pyVoIP's server context" ---


class TLSRegistrar:
    """Takes one connection, and registers who asks on it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listening.getsockname()[1]
        self.registers: list[SIPMessage] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        plain, _ = self._listening.accept()
        with self._context.wrap_socket(plain, server_side=True) as connection:
            while data := connection.recv(8192):
                request = SIPMessage(data)
                self.registers.append(request)
                copied = [line for line in data.decode().split("\r\n") if line.split(":")[0] in _COPIED]
                expires = f"Expires: {request.headers['Expires']}"
                lines = ["SIP/2.0 200 OK", *copied, expires, "Content-Length: 0", "", ""]
                connection.sendall("\r\n".join(lines).encode())


def test_tls_registers_and_shows_its_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = Authority(tmp_path).issue("loopback", f"IP:{LOOPBACK}", password="sesame")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.certificate, issued.key, "sesame")
    monkeypatch.setattr(pyvoip, "TLS_VERIFY_MODE", ssl.CERT_NONE)
    with TLSRegistrar(server) as registrar:
        client = client_of(
            registrar,
            transport_mode=TransportMode.TLS,
            cert_file=str(issued.certificate),
            key_file=str(issued.key),
            key_password=lambda: b"sesame",
        )
        with started(client):
            shown = ssl.get_server_certificate((LOOPBACK, client.bind_port))
    assert ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(issued.certificate.read_text())
    assert [each.headers["Via"][0]["type"] for each in registrar.registers] == ["SIP/2.0/TLS"] * 2


# --- "pyVoIP uses this to know whether to use the hostname or remote_hostname" ---


def test_peers_in_the_network_are_told_the_hostname(pbx: Pbx) -> None:  # #45 #76 #153 #209
    with started(client_of(pbx, bind_network="127.0.0.0/8", hostname="192.0.2.50")):
        contact = pbx.registers[0].contact
        assert contact is not None
        assert (contact.sip_uri.host, pbx.registers[0].via.host) == ("192.0.2.50", "192.0.2.50")


def test_peers_outside_of_the_network_need_a_remote_hostname(pbx: Pbx) -> None:
    with pytest.raises(NATError):
        client_of(pbx, bind_network="10.0.0.0/8", hostname="10.0.0.4").start()


def test_stopping_is_bounded(pbx: Pbx) -> None:  # #229
    with started(client_of(pbx)):
        pbx.on_register = lambda _: None
        began = time.monotonic()
    assert time.monotonic() - began < 5


# --- what else may happen ---


def test_a_port_that_is_taken_is_told(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client, pytest.raises(TransportError):
        client_of(pbx, bind_port=client.bind_port).start()


@pytest.mark.parametrize(
    ("added", "name"),
    [((), "anonymous"), (("door", "x", None, "pbx"), "door"), (("other", "x", None, "far"), "anonymous")],
)
def test_credentials_are_those_of_the_realm(pbx: Pbx, added: tuple[Any, ...], name: str) -> None:
    manager = CredentialsManager()
    for _ in range(bool(added)):
        manager.add(*added)
    pbx.on_register = lambda request: "403 Forbidden" if request.get("authorization") else Challenger("").refusal
    client = SIPClient(LOOPBACK, pbx.port, USER, manager, bind_ip=LOOPBACK, bind_port=0)
    with pytest.raises(InvalidAccountInfoError):
        client.start()
    client.stop()
    assert f'username="{name}"' in (pbx.registers[1].get("authorization") or "")


def test_what_a_connection_sends_within_a_call_that_is_not_the_calls_own_goes_out(pbx: Pbx) -> None:
    callback = Callback("183 Session Progress", pbx.sdp().decode())
    with started(client_of(pbx, call_callback=callback)) as client:
        dialled = Dialled(pbx)
        dialled.invite()
        assert pbx.receive("183").content == pbx.sdp()
        (connection,) = callback.connections
        via = f"Via: SIP/2.0/UDP {LOOPBACK}:{client.bind_port};branch=z9hG4bKinfo"
        connection.send(f"INFO {pbx.contact} SIP/2.0\r\n{via}\r\nCall-ID: call-1\r\nCSeq: 1 INFO\r\n\r\n")
        connection.send(f"ACK {pbx.contact} SIP/2.0\r\nCall-ID: call-1\r\nCSeq: 1 ACK\r\n\r\n")  # is the call's
        assert pbx.receive("INFO").via.branch == "z9hG4bKinfo"
        connection.send(_response(SIPMessage(connection.message.raw), "200 OK", pbx.sdp().decode()))
        dialled.answered()
        dialled.request("REFER", "Refer-To: <sip:102@pbx.example>")
        assert pbx.receive("603").cseq.method == "REFER"
        dialled.request("BYE")
        assert pbx.receive("200").cseq.method == "BYE"


def test_a_response_goes_where_its_via_says(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        connection = client.send(_options(pbx, client))
        via = f"Via: SIP/2.0/UDP 192.0.2.1;received={LOOPBACK};rport={pbx.port};branch=z9hG4bK1"
        connection.send(f"SIP/2.0 299 Own\r\n{via}\r\nCall-ID: own\r\nCSeq: 1 OPTIONS\r\n\r\n".encode())
        assert pbx.receive("299").phrase == "Own"
        connection.update_tags("a", "b")
        assert (connection.local_tag, connection.remote_tag) == ("a", "b")


def test_the_oldest_connection_gives_way(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "MAX_CONNECTIONS", 1)
    with started(client_of(pbx)) as client:
        first = client.send(_options(pbx, client))
        client.send(_options(pbx, client).replace("Call-ID: own", "Call-ID: other"))
        assert first.recv(timeout=5) == b""


def test_messages_that_nobody_reads_are_bounded(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock, "MAX_UNREAD", 2)
    with started(client_of(pbx)) as client:
        connection = client.send(_options(pbx, client))
        for data in (b"1", b"2", b"3"):
            connection.deliver(data)
        assert [connection.recv(), connection.recv()] == [b"2", b"3"]


def test_a_callback_that_never_returns_does_not_keep_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, go_on = Workers(), threading.Event()
    workers.start(lambda: go_on.wait(10), "stuck")
    began = time.monotonic()
    workers.join(timeout=0.01)
    assert time.monotonic() - began < 1
    go_on.set()
    workers.join()


def test_whoever_stops_a_client_finds_it_stopped(pbx: Pbx) -> None:
    with started(client_of(pbx)) as client:
        pbx.on_register = lambda _: None  # so that it takes a while
        other = threading.Thread(target=client.stop)
        other.start()
        until(lambda: not client.NSD)
        client.stop()
        assert {thread.name for thread in threading.enumerate()} & {f"SIPClient {USER}@{LOOPBACK}"} == set()
        other.join()
