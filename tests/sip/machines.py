"""Drives one transaction machine through virtual time and notes when it sent what."""

from dataclasses import dataclass, field

from sip_bridge.sip.message import SIPMessage
from sip_bridge.sip.timers import RFC3261, Timers
from sip_bridge.sip.transactions.client import NonInviteClient
from sip_bridge.sip.transactions.invite_client import InviteClient
from sip_bridge.sip.transactions.invite_server import InviteServer
from sip_bridge.sip.transactions.server import NonInviteServer

AnyMachine = InviteClient | NonInviteClient | InviteServer | NonInviteServer
END_OF_TIME = 1000.0  # seconds; every timer has fired by then


def response(status: int, method: str = "INVITE") -> SIPMessage:
    return SIPMessage(
        f"SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@192.0.2.1>;tag=1\r\n"
        f"To: <sip:b@192.0.2.2>;tag=2\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\r\n".encode()
    )


@dataclass(kw_only=True)
class Bench:
    """The clock, the wire and the transaction user of one machine."""

    now: float = 0.0
    sent: list[tuple[float, str]] = field(default_factory=list)
    timed_out_at: list[float] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        self.sent.append((round(self.now, 6), data.decode()))

    def run(self, machine: AnyMachine, until: float = END_OF_TIME) -> None:
        """Let time pass, waking the machine whenever it asks for it."""
        while machine.deadline <= until:
            self.now = max(self.now, machine.deadline)
            if machine.tick(self.now):
                self.timed_out_at.append(self.now)
        self.now = until

    def invite_client(self, *, reliable: bool = False, timers: Timers = RFC3261) -> InviteClient:
        def build_ack(to: SIPMessage) -> bytes:
            return f"ACK to {int(to.status)}".encode()

        machine = InviteClient(b"INVITE", build_ack=build_ack, send=self.send, timers=timers, reliable=reliable)
        machine.start(self.now)
        return machine

    def client(self, *, reliable: bool = False, timers: Timers = RFC3261) -> NonInviteClient:
        machine = NonInviteClient(b"OPTIONS", send=self.send, timers=timers, reliable=reliable)
        machine.start(self.now)
        return machine

    def invite_server(self, *, reliable: bool = False, timers: Timers = RFC3261) -> InviteServer:
        machine = InviteServer(build_trying=lambda: b"100", send=self.send, timers=timers, reliable=reliable)
        machine.start(self.now)
        return machine

    def server(self, *, reliable: bool = False, timers: Timers = RFC3261) -> NonInviteServer:
        return NonInviteServer(send=self.send, timers=timers, reliable=reliable)

    def instants(self, what: str) -> list[float]:
        return [at for at, data in self.sent if data == what]
