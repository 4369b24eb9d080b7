"""An authoritative DNS server on loopback, UDP and TCP on one port, that says what a test makes it say."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Self

import dns.asyncresolver
import dns.flags
import dns.message
import dns.nameserver
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = dns.rrset.from_text("example.org.", 3600, "IN", "SOA", "ns.example.org. admin.example.org. 1 3600 600 86400 60")


class DNSServer(asyncio.DatagramProtocol):
    """Answers from ``records``; a name that has none at all does not exist. ``questions`` is what was asked."""

    def __init__(self) -> None:
        self.records: list[dns.rrset.RRset] = []
        self.questions: list[str] = []
        self.rcode = dns.rcode.NOERROR
        self.is_silent = False
        self.dropped: set[str] = set()  # types of record that questions for are not answered
        self.truncates = False
        self.forge: Callable[[dns.message.Message], list[bytes]] = lambda _: []  # sent before the true answer

    def add(self, text: str) -> None:
        """``_sip._udp.example.org 60 SRV 10 5 5060 a.example.org``"""
        name, ttl, kind, value = text.split(maxsplit=3)
        added = dns.rrset.from_text(f"{name}.", int(ttl), "IN", kind, value)
        for rrset in self.records:
            if (rrset.name, rrset.rdtype) == (added.name, added.rdtype):
                rrset.add(added[0])
                return
        self.records.append(added)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        stream, datagram, self.port = _pair_of_sockets()
        self._tcp = await asyncio.start_server(self._serve_stream, sock=stream)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, sock=datagram)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", self.port)]
        return resolver

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        response = self._answer(query)
        if self.is_silent or self.questions[-1].split()[1] in self.dropped:
            return
        if self.truncates:
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
        for forged in self.forge(query):
            self._udp.sendto(forged, addr)
        self._udp.sendto(response.to_wire(), addr)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        response = self._answer(dns.message.from_wire(await reader.readexactly(length))).to_wire()
        writer.write(struct.pack("!H", len(response)) + response)
        await writer.drain()
        writer.close()

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        (question,) = query.question
        self.questions.append(f"{question.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(question.rdtype)}")
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        response.set_rcode(self.rcode)
        names = {rrset.name for rrset in self.records}
        kinds = (question.rdtype, dns.rdatatype.CNAME)
        response.answer = [r for r in self.records if r.name == question.name and r.rdtype in kinds]
        aliases = [r for r in response.answer if r.rdtype == dns.rdatatype.CNAME]
        response.answer += [r for a in aliases for r in self.records if r.name == a[0].target and r is not a]
        if not response.answer:
            response.authority = [SOA]
            if question.name not in names and self.rcode == dns.rcode.NOERROR:
                response.set_rcode(dns.rcode.NXDOMAIN)
        return response


def _pair_of_sockets() -> tuple[socket.socket, socket.socket, int]:
    """A TCP and a UDP socket on the same port of loopback."""
    while True:
        stream = socket.create_server(("127.0.0.1", 0))
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port: int = stream.getsockname()[1]
        try:
            datagram.bind(("127.0.0.1", port))
        except OSError:
            stream.close()
            datagram.close()
        else:
            return stream, datagram, port
