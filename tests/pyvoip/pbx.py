"""A bare PBX on a UDP socket: it registers whoever asks, sends what a test writes, and keeps what comes."""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sip_bridge.media.rtp import RTPPacket
from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.SIP.client import SIPClient
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter
from sip_bridge.sip.digest import Credentials, authorizations_of
from sip_bridge.sip.message import SIPMessage
from tests.peers.ports import LOOPBACK, free_port, free_ports

TIMEOUT = 10.0
USER, PASSWORD = "620", "secret"
_RTCP = range(72, 77)  # packets of RTCP, read as RTP
Answer = Callable[[SIPMessage], str | None]


def accepts(request: SIPMessage) -> str | None:
    """Registers without a question."""
    return "200 OK"


class Challenger:
    """Registers who knows the password; otherwise answers with a challenge."""

    def __init__(self, challenge: str, status: str = "401 Unauthorized") -> None:
        name, self.credentials = ("Proxy-Authenticate", "proxy-authorization")
        if status.startswith("401"):
            name, self.credentials = ("WWW-Authenticate", "authorization")
        self.refusal = f'{status}\r\n{name}: Digest realm="pbx", nonce="abc", {challenge}'.rstrip(", ")
        self.checked: list[tuple[str, str | None]] = []  # algorithm and qop of right answers

    def __call__(self, request: SIPMessage) -> str | None:
        given = request.get(self.credentials)
        if given is None:
            return self.refusal
        plain = SIPMessage.request(request.method or "", request.uri, [("Authorization", given)])
        (answer,) = authorizations_of(plain)
        expected = answer.expected_response(
            Credentials(username=USER, password=PASSWORD), request.method or "", request.content
        )
        if answer.response != expected:
            return "403 Forbidden"
        self.checked.append((answer.algorithm, answer.qop))
        return "200 OK"


class Pbx:
    """Registrar, caller and callee in one."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((LOOPBACK, 0))
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((LOOPBACK, 0))
        self.rtp.settimeout(TIMEOUT)
        self.port: int = self.sock.getsockname()[1]
        self.registers: list[SIPMessage] = []
        self.on_register: Answer = accepts
        self.messages: queue.Queue[SIPMessage] = queue.Queue()
        self.phone = ("", 0)  # where it registered from
        self.seq = 0
        self._thread = threading.Thread(target=self._listen, name="pbx")
        self._thread.start()

    def close(self) -> None:
        self.sock.sendto(b"stop", self.sock.getsockname())
        self._thread.join()
        self.sock.close()
        self.rtp.close()

    def _listen(self) -> None:
        while True:
            data, source = self.sock.recvfrom(65536)
            if data == b"stop":
                return
            message = SIPMessage(data)
            if message.method != "REGISTER":
                self.messages.put(message)
                if message.method == "BYE":
                    self.reply(message, "200 OK")
                continue
            self.registers.append(message)
            self.phone = source
            status = self.on_register(message)
            if status is not None:
                self.reply(message, status, *registered(message, status))

    # --- what comes ---

    def receive(self, word: str) -> SIPMessage:
        """The next request of a method, or response with a status; what comes before is passed over."""
        deadline = time.monotonic() + TIMEOUT
        passed: list[str] = []
        while True:
            try:
                message = self.messages.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {word}; there were {passed}") from None
            if word in (message.method, str(int(message.status))):
                return message
            passed.append(message.heading)

    def nothing_comes(self, seconds: float = 0.3) -> bool:
        try:
            return self.messages.get(timeout=seconds) is None
        except queue.Empty:
            return True

    def packet(self) -> RTPPacket:
        """The next RTP packet."""
        while True:
            packet = RTPPacket.parse(self.rtp.recv(4096))
            if packet is not None and packet.payload_type not in _RTCP:
                return packet

    # --- what goes ---

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self.phone)

    def reply(
        self, request: SIPMessage, status: str, *headers: str, body: bytes = b"", tag: str = "pbx", contact: str = ""
    ) -> None:
        copied = [f"{name}: {value}" for name in ("Via", "From") for value in request.get_all(name.lower())]
        to = request.get_all("to")[0]
        copied.append(f"To: {to}" + ("" if ";tag=" in to or status.startswith("100") else f";tag={tag}"))
        copied += [f"{name}: {value}" for name in ("Call-ID", "CSeq") for value in request.get_all(name.lower())]
        copied.append(f"Contact: <{contact or self.contact}>")
        lines = [f"SIP/2.0 {status}", *copied, *headers, *_described(body)]
        self.sock.sendto("\r\n".join([*lines, "", ""]).encode() + body, self.phone)

    @property
    def contact(self) -> str:
        return f"sip:pbx@{LOOPBACK}:{self.port}"

    def sdp(self, formats: str = "0 101", *attributes: str) -> bytes:
        lines = [
            "v=0",
            f"o=- 1 1 IN IP4 {LOOPBACK}",
            "s=-",
            f"c=IN IP4 {LOOPBACK}",
            "t=0 0",
            f"m=audio {self.rtp.getsockname()[1]} RTP/AVP {formats}",
            "a=rtpmap:101 telephone-event/8000",
            *attributes,
            "",
        ]
        return "\r\n".join(lines).encode()


def registered(request: SIPMessage, status: str) -> tuple[str, ...]:
    """What a registrar grants unless the test says it."""
    return () if "Expires" in status or request.get("expires") == "0" else ("Expires: 300",)


def _described(body: bytes, headers: Iterable[str] = ()) -> list[str]:
    is_told = any(line.startswith("Content-Type:") for line in headers)
    kind = ["Content-Type: application/sdp"] if body and not is_told else []
    return [*kind, f"Content-Length: {len(body)}"]


class Dialled:
    """A call of the PBX to the phone, or the other end of one of the phone's."""

    def __init__(self, pbx: Pbx, call_id: str = "call-1") -> None:
        self.pbx = pbx
        self.call_id = call_id
        self.ours = '"Front Door" <sip:101@pbx.example>;tag=caller'
        self.theirs = f"<sip:{USER}@{LOOPBACK}>"
        self.target = f"sip:{USER}@{pbx.phone[0]}:{pbx.phone[1]}"
        self.seq = 0
        self.branch = ""

    def request(self, method: str, *headers: str, body: bytes = b"", same: bool = False) -> None:
        """``same`` is for what belongs to the INVITE: CANCEL, and the ACK of a refusal."""
        if not same and method != "ACK":
            self.seq += 1
        if not same:
            self.branch = f"z9hG4bK{self.call_id}{method}{self.seq}"
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {LOOPBACK}:{self.pbx.port};branch={self.branch};rport",
            "Max-Forwards: 70",
            f"From: {self.ours}",
            f"To: {self.theirs}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.seq} {method}",
            f"Contact: <{self.pbx.contact}>",
            *headers,
            *_described(body, headers),
        ]
        self.pbx.send("\r\n".join([*lines, "", ""]).encode() + body)

    def invite(self, body: bytes | None = None) -> None:
        self.request("INVITE", body=self.pbx.sdp() if body is None else body)

    def answered(self, body: bytes = b"") -> SIPMessage:
        """Takes the 200 and acknowledges it."""
        response = self.pbx.receive("200")
        self.theirs = response.get_all("to")[0]
        assert response.contact is not None
        self.target = response.contact.uri
        self.request("ACK", body=body)
        return response

    @classmethod
    def answering(cls, pbx: Pbx, invite: SIPMessage, *headers: str, body: bytes | None = None) -> "Dialled":
        """Takes a call of the phone's with 200, and waits for the ACK."""
        pbx.reply(invite, "200 OK", *headers, body=pbx.sdp() if body is None else body)
        dialled = cls(pbx, invite.call_id)
        dialled.ours, dialled.theirs = f"{invite.get('to')};tag=pbx", invite.get_all("from")[0]
        assert invite.contact is not None
        dialled.target = invite.contact.uri
        pbx.receive("ACK")
        return dialled


class Registrar(Protocol):
    """Whatever phones register at."""

    port: int


def parameter(pbx: Registrar, **options: Any) -> VoIPPhoneParameter:
    credentials = CredentialsManager()
    credentials.add(USER, PASSWORD)
    rtp = free_ports(20)
    usual: dict[str, Any] = {
        "bind_ip": LOOPBACK,
        "bind_port": free_port(),
        "rtp_port_low": rtp,
        "rtp_port_high": rtp + 19,
    }
    return VoIPPhoneParameter(LOOPBACK, pbx.port, USER, credentials, **{**usual, **options})


@contextmanager
def phone_at(pbx: Pbx, **options: Any) -> Iterator[VoIPPhone]:
    """A phone that is registered."""
    phone = VoIPPhone(parameter(pbx, **options))
    phone.start()
    try:
        yield phone
    finally:
        phone.stop()


def client_of(pbx: Registrar, **options: Any) -> SIPClient:
    given = parameter(pbx)
    assert given.credentials_manager is not None
    usual: dict[str, Any] = {"bind_ip": LOOPBACK, "bind_port": given.bind_port}
    return SIPClient(LOOPBACK, pbx.port, USER, given.credentials_manager, **{**usual, **options})


def until(condition: Callable[[], object], *, within: float = TIMEOUT) -> None:
    """Wait until something is so that nobody tells of."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never was so"
        time.sleep(0.005)


def comes_to(call: VoIPCall, state: CallState) -> None:
    until(lambda: call.state is state)


class Recorded(VoIPCall):
    """A call that notes which hooks were called, with what; ``calls`` are those that were made."""

    calls: list["Recorded"]
    answers = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.hooks: list[tuple[str, str]] = []
        super().__init__(*arguments, **options)
        type(self).calls.append(self)

    def _note(self, hook: str, request: Any) -> None:
        self.hooks.append((hook, request.heading))

    def ringing(self, request: Any = None) -> None:
        self._note("ringing", request)
        if self.answers and self.state is CallState.RINGING:
            self.answer()

    def progress(self, request: Any = None) -> None:
        self._note("progress", request)

    def answered(self, request: Any = None) -> None:
        self._note("answered", request)

    def busy(self, request: Any = None) -> None:
        self._note("busy", request)

    def not_found(self, request: Any = None) -> None:
        self._note("not_found", request)

    def unavailable(self, request: Any = None) -> None:
        self._note("unavailable", request)

    def bye(self, request: Any = None) -> None:
        self._note("bye", request)


def recorded(*, answers: bool = False) -> type[Recorded]:
    """A class of its own for a test."""
    return type("Call", (Recorded,), {"calls": [], "answers": answers})


def first(kind: type[Recorded]) -> Recorded:
    until(lambda: kind.calls)
    return kind.calls[0]
