"""The servers of the call flows: a registrar, a redirect server and proxies, as little of each as a flow needs.

They stand for what other people run. They work on header lines, not on the engine's classes, so that a fault of the
engine's reading or writing is not made up for by the same fault here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from itertools import count
from typing import Self

from tests.scenario import Address, Party, Wire

# Who is who, and where. The names are those of RFC 3665's example domains.
HOSTS: dict[str, Address] = {
    "atlanta.example.com": ("192.0.2.111", 5060),
    "ss0.atlanta.example.com": ("192.0.2.110", 5060),
    "ss1.atlanta.example.com": ("192.0.2.111", 5060),
    "biloxi.example.com": ("192.0.2.222", 5060),
    "ss2.biloxi.example.com": ("192.0.2.222", 5060),
    "chicago.example.com": ("192.0.2.233", 5060),
    "ss3.chicago.example.com": ("192.0.2.233", 5060),
}
NONCE = "f84f1cec41e6cbe5aea9c8e88d359"
NAMES = {
    100: "Trying",
    200: "OK",
    302: "Moved Temporarily",
    401: "Unauthorized",
    407: "Proxy Authentication Required",
    480: "Temporarily Unavailable",
}


@dataclass(kw_only=True)
class Message:
    """Start line, header lines in order, body: as a proxy sees a message."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        return cls(start=start, headers=headers, body=body)

    def format(self) -> bytes:
        kept = [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines = [self.start, *kept, f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body

    def copy(self) -> "Message":
        return Message(start=self.start, headers=list(self.headers), body=self.body)

    @property
    def word(self) -> str:
        """``INVITE``, ``180``, ..."""
        first, second = self.start.split(" ")[:2]
        return second if first == "SIP/2.0" else first

    @property
    def method(self) -> str:
        """The method of a request, or of the one that a response answers."""
        return self.all("CSeq")[0].split()[1]

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1]

    @property
    def branch(self) -> str:
        return parameter(self.all("Via")[0], "branch")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def push(self, name: str, value: str) -> None:
        """Put a header before the others of its name."""
        self.headers.insert(0, (name, value))

    def pop(self, name: str) -> None:
        """Take the first header of a name away."""
        self.headers.remove((name, self.all(name)[0]))

    def put(self, name: str, value: str) -> None:
        """Replace a header's value."""
        self.headers = [(key, value if key == name else old) for key, old in self.headers]

    def response(self, status: int, *headers: tuple[str, str]) -> "Message":
        """A response of a server, with its tag unless it is a 100."""
        copied = [(n, v) for n, v in self.headers if n in ("Via", "From", "To", "Call-ID", "CSeq")]
        response = Message(start=f"SIP/2.0 {status} {NAMES[status]}", headers=[*copied, *headers])
        to = self.all("To")[0]
        response.put("To", to if status == 100 or ";tag=" in to else f"{to};tag=server")
        return response

    def answered(self, name: str, realm: str, passwords: Mapping[str, str]) -> bool:
        """Whether one of the ``name`` headers answers our challenge in ``realm`` rightly (RFC 2617 §3.2.2)."""
        for line in self.all(name):
            given: dict[str, str] = {
                key: quoted or bare for key, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', line)
            }
            if given["realm"] == realm and given["nonce"] == NONCE:
                secret = _h(f"{given['username']}:{realm}:{passwords[given['username']]}")
                asked = _h(f"{self.word}:{given['uri']}")
                middle = f"{NONCE}:{given['nc']}:{given['cnonce']}:{given['qop']}"
                return given["response"] == _h(f"{secret}:{middle}:{asked}")
        return False


def _h(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def parameter(value: str, name: str) -> str:
    return value.partition(f";{name}=")[2].partition(";")[0]


def address_of(uri: str) -> Address:
    """Where a URI is served: a name that everybody knows, or an address."""
    host, _, port = uri.removeprefix("sip:").split(";")[0].rpartition("@")[2].partition(":")
    return HOSTS.get(host, (host, int(port or 5060)))


def challenge(realm: str) -> str:
    return f'Digest realm="{realm}", qop="auth", nonce="{NONCE}", opaque="", stale=FALSE, algorithm=MD5'


class Server:
    """Something with a name and an address on the wire; by itself it is out of service."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.name = name
        self.address = HOSTS[name]
        wire.attach(self.address, self.receive)

    def receive(self, data: bytes, source: Address) -> None:
        pass

    def send(self, message: Message, to: Address) -> None:
        self.wire.carry(message.format(), self.address, to)

    def reply(self, request: Message, status: int, *headers: tuple[str, str]) -> None:
        """Answer along the top Via."""
        sent_by = request.all("Via")[0].split()[1].split(";")[0]
        self.send(request.response(status, *headers), address_of(sent_by))


class Registrar(Server):
    """Knows one password a user, and keeps the contacts of whoever shows it."""

    def __init__(self, wire: Wire, name: str, passwords: Mapping[str, str]) -> None:
        super().__init__(wire, name)
        self.passwords = passwords
        self.contacts: dict[str, int] = {}

    def receive(self, data: bytes, source: Address) -> None:
        request = Message.parse(data)
        if not request.answered("Authorization", self.name, self.passwords):
            self.reply(request, 401, ("WWW-Authenticate", challenge(self.name)))
            return
        for contact in request.all("Contact"):
            uri, _, params = contact.partition(">")
            expires = int(parameter(params, "expires") or request.all("Expires")[0])
            self.contacts.pop(uri[1:], None)
            if expires:
                self.contacts[uri[1:]] = expires
        self.reply(request, 200, *[("Contact", f"<{uri}>;expires={left}") for uri, left in self.contacts.items()])


class RedirectServer(Server):
    """Sends every INVITE elsewhere; its ACK ends with it."""

    def __init__(self, wire: Wire, name: str, contact: str) -> None:
        super().__init__(wire, name)
        self.contact = contact

    def receive(self, data: bytes, source: Address) -> None:
        request = Message.parse(data)
        if request.word == "INVITE":
            self.reply(request, 302, ("Contact", f"<{self.contact}>"))


@dataclass(kw_only=True)
class Forwarded:
    """An INVITE as it came and as it went on."""

    came: Message
    went: Message
    to: Address
    is_over: bool = False


@dataclass(kw_only=True)
class Media:
    """The address that an application level gateway puts in the place of everybody's, and the ports it gives out."""

    host: str
    ports: Iterable[int] = field(default_factory=lambda: count(49172, 2))

    def rewrite(self, body: bytes) -> bytes:
        if not body:
            return body
        text = re.sub(r"c=IN IP4 \S+", f"c=IN IP4 {self.host}", body.decode())
        return re.sub(r"m=audio \d+", f"m=audio {next(iter(self.ports))}", text).encode()


class Proxy(Server):
    """A stateful proxy that stays in the path (RFC 3261 §16)."""

    def __init__(
        self,
        wire: Wire,
        name: str,
        *,
        routes: Mapping[str, str],
        passwords: Mapping[str, str] | None = None,
        media: Media | None = None,
    ) -> None:
        super().__init__(wire, name)
        self.uri = f"sip:{name};lr"
        self.also_known_as: set[str] = set()  # further URIs that Route may name it by
        self.realm = name.partition(".")[2]
        self.routes = routes  # Request-URI to contact or next proxy
        self.passwords = passwords  # asks for one if there are any
        self.media = media
        self.forwarded: dict[str, Forwarded] = {}  # INVITEs by the branch that they went on with
        self._branches = count(1)
        self._invites: set[str] = set()  # the branches that they came with

    def receive(self, data: bytes, source: Address) -> None:
        message = Message.parse(data)
        if message.word == "INVITE":
            self._invites.add(message.branch)
        if message.start.startswith("SIP/2.0 "):
            self._receive_response(message)
        elif message.word == "CANCEL":
            self._receive_cancel(message)
        elif message.word == "ACK":
            self._receive_ack(message)
        elif self._may_pass(message):
            self._forward(message)
        else:
            self.reply(message, 407, ("Proxy-Authenticate", challenge(self.realm)))

    def _may_pass(self, request: Message) -> bool:
        within_dialog = ";tag=" in request.all("To")[0]
        return (
            self.passwords is None
            or within_dialog
            or request.answered("Proxy-Authorization", self.realm, self.passwords)
        )

    # --- requests ---

    def _forward(self, request: Message) -> None:
        went = request.copy()
        went.put("Max-Forwards", str(int(request.all("Max-Forwards")[0]) - 1))
        self._consume(went)
        to = self._next_hop(went)
        if request.word == "INVITE" and ";tag=" not in request.all("To")[0]:
            went.push("Record-Route", f"<{self.uri}>")
        branch = f"z9hG4bK-{self.name}-{next(self._branches)}"
        went.push("Via", f"SIP/2.0/UDP {self.address[0]}:{self.address[1]};branch={branch}")
        went.body = self._rewrite(went.body)
        self.send(went, to)
        if request.word == "INVITE":
            self.forwarded[branch] = Forwarded(came=request, went=went, to=to)
            self.reply(request, 100)

    def _consume(self, request: Message) -> None:
        """Take away what was meant for us: our own Route and the answer to our own challenge."""
        if request.all("Route") and request.all("Route")[0].strip("<>") in {self.uri, *self.also_known_as}:
            request.pop("Route")
        request.headers = [
            (name, value)
            for name, value in request.headers
            if not (name == "Proxy-Authorization" and f'realm="{self.realm}"' in value)
        ]

    def _next_hop(self, request: Message) -> Address:
        if request.all("Route"):
            return address_of(request.all("Route")[0].strip("<>"))
        contact = self.routes.get(request.uri, request.uri)
        if "@" in contact:  # a contact takes the place of the address of record, a proxy's name does not
            request.start = f"{request.word} {contact} SIP/2.0"
        return address_of(contact)

    def _rewrite(self, body: bytes) -> bytes:
        return body if self.media is None else self.media.rewrite(body)

    def _receive_ack(self, ack: Message) -> None:
        """That to a 2xx goes on; one with the branch of its INVITE was for us, who sent the refusal."""
        if ack.branch not in self._invites:
            self._forward(ack)

    def _receive_cancel(self, cancel: Message) -> None:
        """Answer it, and cancel what we sent on (RFC 3261 §16.10): hop by hop."""
        self.reply(cancel, 200)
        for each in self.forwarded.values():
            if each.came.branch == cancel.branch and not each.is_over:
                self.send(self._hop_by_hop("CANCEL", each), each.to)

    def _hop_by_hop(self, method: str, invite: Forwarded, to: str | None = None) -> Message:
        """A request of our own about an INVITE that we sent on: its Request-URI and top Via."""
        names = ("Max-Forwards", "From", "Call-ID")
        seq = invite.went.all("CSeq")[0].split()[0]
        headers = [
            ("Via", invite.went.all("Via")[0]),
            *[(name, value) for name, value in invite.went.headers if name in names],
            ("To", to or invite.went.all("To")[0]),
            ("CSeq", f"{seq} {method}"),
        ]
        return Message(start=f"{method} {invite.went.uri} SIP/2.0", headers=headers)

    # --- responses ---

    def _receive_response(self, response: Message) -> None:
        """Send it back; our own 100 took the place of any other, and a refusal is acknowledged here."""
        invite = self.forwarded.get(response.branch)
        is_for_us = response.method == "CANCEL"
        if response.word == "100" or is_for_us:
            return
        if invite is not None and response.word >= "300":
            invite.is_over = True
            self.send(self._hop_by_hop("ACK", invite, response.all("To")[0]), invite.to)
        response.pop("Via")
        response.body = self._rewrite(response.body)
        self.send(response, address_of(response.all("Via")[0].split()[1].split(";")[0]))

    def wait_in_vain(self) -> None:
        """Nobody answers: send the last INVITE six times more (timer A), and give it up after 32 s (timer B)."""
        invite = list(self.forwarded.values())[-1]
        for pause in (0.5, 1, 2, 4, 8, 16):
            self.wire.run(pause)
            self.send(invite.went, invite.to)
        self.wire.run(0.5)
        self.reply(invite.came, 480)


class User(Party):
    """Our endpoint, which finds the servers by their names."""

    def __init__(self, wire: Wire, host: str) -> None:
        super().__init__(wire, host)
        self.hosts = {name: (address,) for name, address in HOSTS.items()}


def figure(wire: Wire, **names: "Server | Party") -> list[str]:
    """What went over the wire, as the figures of RFC 3665 show it: ``alice -> proxy1 INVITE``."""
    who = {each.address: name for name, each in names.items()}
    return [f"{who[sent.source]} -> {who[sent.destination]} {sent.word}" for sent in wire.sent]
