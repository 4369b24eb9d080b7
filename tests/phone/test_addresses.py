"""Which sockets are bound, which of our addresses a peer is told, and what happens to a socket in trouble."""

import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain, repeat

import pytest

from sip_bridge.errors import TransportError
from sip_bridge.phone.settings import SIPSettings
from sip_bridge.phone.transport import Transports, addresses, routes, sockets
from sip_bridge.phone.transport.addresses import flow_address, link_of, socket_address
from sip_bridge.phone.transport.routes import Routes
from sip_bridge.phone.transport.sockets import open_sockets
from sip_bridge.phone.transport.udp import Datagrams
from sip_bridge.sip.flow import Flow
from tests.phone.peer import until
from tests.phone.sip_peer import sending_to
from tests.phone.transports import Hearing, message, opened

LOOPBACK = "127.0.0.1"
BOTH = ("0.0.0.0", "::")


@pytest.fixture
def user() -> Hearing:
    return Hearing()


@pytest.fixture
async def phone(user: Hearing) -> AsyncIterator[Transports]:
    async with opened(SIPSettings(bind=(LOOPBACK, "127.0.0.2", "::1"), port=0), user) as transports:
        yield transports


# --- sockets ---


def test_udp_and_tcp_of_both_families_have_one_port_number_and_tls_has_its_own() -> None:
    found = open_sockets(BOTH, 0, 0)
    try:
        ports = [{sock.getsockname()[1] for sock in group.values()} for group in (found.udp, found.tcp, found.tls)]
        assert ports == [{found.port}, {found.port}, {found.tls_port}]
        assert [tuple(group) for group in (found.udp, found.tcp, found.tls)] == [BOTH] * 3
    finally:
        found.close()
    assert (found.udp, found.tcp, found.tls) == ({}, {}, {})


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize(("host", "shown"), [(LOOPBACK, LOOPBACK), ("::1", "[::1]")])
def test_a_port_in_use_is_named(kind: socket.SocketKind, host: str, shown: str) -> None:
    with socket.socket(addresses.family_of(host), kind) as taken:
        taken.bind((host, 0))
        port = taken.getsockname()[1]
        name = "UDP" if kind is socket.SOCK_DGRAM else "TCP"
        with pytest.raises(TransportError) as caught:
            open_sockets((host,), port, None)
    assert str(caught.value) == f"{name} {shown}:{port}: Address already in use"


def test_a_number_that_is_taken_for_tcp_is_passed_over_when_the_kernel_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = sockets._bound
    tries: list[str] = []

    def taken_at_first(transport: str, host: str, port: int) -> socket.socket:
        tries.append(transport)
        if tries.count("TCP") == 1 and transport == "TCP":
            raise OSError(errno.EADDRINUSE, "Address already in use", "TCP")
        return bound(transport, host, port)

    monkeypatch.setattr(sockets, "_bound", taken_at_first)
    found = open_sockets((LOOPBACK,), 0, None)
    found.close()
    assert tries[:4] == ["UDP", "TCP", "UDP", "TCP"]  # more when another program has the next number


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(TransportError, match=r"^UDP 192\.0\.2\.77:0: Cannot assign requested address$"):
        open_sockets(("192.0.2.77",), 0, None)


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_is_none_the_worse(
    code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _without_ipv6(monkeypatch, code)
    caplog.set_level(logging.DEBUG)
    found = open_sockets(BOTH, 0, None)
    found.close()
    assert [record.getMessage() for record in caplog.records] == ["this machine has no IPv6"]
    with pytest.raises(TransportError):
        open_sockets(("::",), 0, None)


def test_another_trouble_with_ipv6_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_ipv6(monkeypatch, errno.EACCES)
    with pytest.raises(TransportError, match="Permission denied"):
        open_sockets(BOTH, 0, None)


def _without_ipv6(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    bind = socket.socket.bind

    def without(sock: socket.socket, address: tuple[object, ...]) -> None:
        if sock.family is socket.AF_INET6:
            raise OSError(code, os.strerror(code))
        bind(sock, address)

    monkeypatch.setattr(socket.socket, "bind", without)


def test_a_connection_sends_at_once_and_notices_a_peer_that_is_gone_without_a_word() -> None:
    tcp = socket.IPPROTO_TCP
    with socket.socket() as sock:
        sockets.prepare_stream(sock)
        assert sock.getsockopt(tcp, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert (sock.getsockopt(tcp, socket.TCP_KEEPIDLE), sock.getsockopt(tcp, socket.TCP_KEEPINTVL)) == (60, 10)
        assert sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 10_000


# --- addresses ---


@pytest.fixture
def ethernet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one interface beside loopback."""
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setattr(socket, "if_nametoindex", {"eth0": 2, "eth1": 3}.__getitem__)
    monkeypatch.setattr(socket, "if_indextoname", {2: "eth0", 3: "eth1"}.__getitem__)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 5060)),
        ("2001:db8::1", ("2001:db8::1", 5060)),
        ("fe80::1%eth1", ("fe80::1", 5060, 0, 3)),
        ("fe80::1%7", ("fe80::1", 5060, 0, 7)),
    ],
)
@pytest.mark.usefixtures("ethernet")
def test_the_interface_of_a_link_local_address_goes_to_the_socket_as_a_number(
    host: str, address: tuple[object, ...]
) -> None:
    assert socket_address(host, 5060) == address


@pytest.mark.usefixtures("ethernet")
def test_a_flow_names_the_interface() -> None:
    assert flow_address(("fe80::1", 5060, 0, 3)) == ("fe80::1%eth1", 5060)
    assert flow_address(("fe80::1%eth1", 5060, 0, 3)) == ("fe80::1%eth1", 5060)
    assert flow_address(("2001:db8::1", 5060, 0, 0)) == ("2001:db8::1", 5060)
    assert flow_address(("192.0.2.1", 5060)) == ("192.0.2.1", 5060)


def test_an_interface_that_is_gone_is_a_number_and_no_link() -> None:
    assert flow_address(("fe80::1", 5060, 0, 99999)) == ("fe80::1%99999", 5060)
    assert link_of("fe80::1%nowhere") == ()
    assert link_of(None) == ()


# --- routes ---


@pytest.fixture
def towards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the kernel was asked; it sends from 10.0.0.1 and fd00::1."""
    asked: list[str] = []

    def kernel(remote: str) -> str:
        asked.append(remote)
        if remote == "203.0.113.99":
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return "fd00::1" if ":" in remote else "10.0.0.1"

    monkeypatch.setattr(routes, "local_address_towards", kernel)
    return asked


def routes_of(*bound: str, advertised: str | None = None) -> Routes:
    made = Routes(advertised)
    made.bound = bound
    return made


async def test_the_local_address_is_chosen_per_destination_and_remembered(towards: list[str]) -> None:
    known = routes_of(*BOTH)
    assert [known.source(host) for host in ("10.0.0.9", "fd00::9", "10.0.0.9")] == ["10.0.0.1", "fd00::1", "10.0.0.1"]
    assert towards == ["10.0.0.9", "fd00::9"]
    assert [known.binding(host) for host in ("10.0.0.9", "fd00::9")] == ["0.0.0.0", "::"]


async def test_what_is_remembered_of_destinations_is_bounded_and_ages(
    towards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_KEPT", 1)
    known = routes_of(*BOTH)
    for host in ("10.0.0.8", "10.0.0.9", "10.0.0.8"):
        known.source(host)
    monkeypatch.setattr(routes, "_AGE", 0.0)
    known.source("10.0.0.8")
    assert towards == ["10.0.0.8", "10.0.0.9", "10.0.0.8", "10.0.0.8"]


@pytest.mark.usefixtures("towards")
async def test_with_several_addresses_the_one_that_routes_is_taken() -> None:
    known = routes_of("192.0.2.1", "10.0.0.1", "fd00::1")
    assert [known.source(host) for host in ("10.0.0.9", "fd00::9")] == ["10.0.0.1", "fd00::1"]
    assert routes_of("192.0.2.1", "192.0.2.2").source("10.0.0.9") == "192.0.2.1"


@pytest.mark.usefixtures("towards")
async def test_a_family_without_socket_and_a_network_without_route_are_out_of_reach() -> None:
    known = routes_of("0.0.0.0")
    assert [known.reaches(host) for host in ("10.0.0.9", "fd00::9", "203.0.113.99")] == [True, False, False]


@pytest.mark.parametrize(
    ("advertised", "remote", "told"),
    [
        ("198.51.100.1", "192.168.1.9", "10.0.0.1"),
        ("198.51.100.1", "8.8.8.8", "198.51.100.1"),
        ("198.51.100.1", "2a00::1", "10.0.0.1"),
        ("phone.example", "2a00::1", "phone.example"),
        ("phone.example", "fe80::1%eth0", "10.0.0.1"),
        (None, "8.8.8.8", "10.0.0.1"),
    ],
)
def test_the_advertised_host_is_for_peers_outside_private_networks(
    advertised: str | None, remote: str, told: str
) -> None:
    assert Routes(advertised).told("10.0.0.1", remote) == told


@pytest.mark.usefixtures("ethernet")
def test_a_link_local_peer_is_reached_where_it_was_heard_or_over_the_only_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Routes()
    known.learn("fe80::7%eth1")
    known.learn("192.0.2.1")
    hosts = ["fe80::7", "fe80::8", "fe80::9%eth1", "fd00::1", "192.0.2.1"]
    assert [known.on_link(host) for host in hosts] == [
        "fe80::7%eth1",
        "fe80::8%eth0",
        "fe80::9%eth1",
        "fd00::1",
        "192.0.2.1",
    ]
    monkeypatch.setattr(routes, "_KEPT", 1)
    known.learn("fe80::8%eth1")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (3, "eth1")])
    assert [known.on_link(host) for host in hosts[:2]] == ["fe80::7", "fe80::8%eth1"]


# --- flows ---


async def test_a_flow_names_the_address_that_it_leaves_from(phone: Transports) -> None:
    flows = [phone.flow_to("UDP", host, 5060) for host in (LOOPBACK, "::1")]
    assert flows == [
        Flow(transport="UDP", local=(LOOPBACK, phone.port), remote=(LOOPBACK, 5060)),
        Flow(transport="UDP", local=("::1", phone.port), remote=("::1", 5060)),
    ]
    assert phone.flow_to("TLS", LOOPBACK, 5061).server_name == LOOPBACK
    assert phone.hosts == (LOOPBACK, "127.0.0.2", "::1")


async def test_a_datagram_is_answered_from_the_address_that_it_came_to(phone: Transports, user: Hearing) -> None:
    async with sending_to("127.0.0.2", phone.port) as peer:
        peer.send(message())
        _, come = await user.message()
        assert come.local == ("127.0.0.2", phone.port)
        phone.send(message("BYE"), come)
        assert (await peer.receive()).method == "BYE"  # a connected socket takes it from that address only
        assert phone.media_hosts(come, None) == ("127.0.0.2", "127.0.0.2")
        assert phone.media_hosts(come, "::1") == ("::1", "::1")
        assert phone.media_hosts(come, "192.0.2.1") == ("127.0.0.2", "127.0.0.2")


async def test_sound_binds_every_address_where_signalling_does(user: Hearing) -> None:
    async with opened(SIPSettings(port=0), user) as phone:
        flow = phone.flow_to("UDP", LOOPBACK, 5060)
        assert phone.media_hosts(flow, None) == ("0.0.0.0", LOOPBACK)
        assert phone.media_hosts(flow, "::1") == ("::", "::1")


async def test_sound_stays_in_the_family_of_signalling_where_there_is_no_other(user: Hearing) -> None:
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
        flow = phone.flow_to("UDP", LOOPBACK, 5060)
        assert phone.media_hosts(flow, "::1") == (LOOPBACK, LOOPBACK)


async def test_a_datagram_that_can_not_be_sent_fails_its_flow(phone: Transports, user: Hearing) -> None:
    flow = Flow(transport="UDP", local=(LOOPBACK, phone.port), remote=("192.0.2.1", 5060))
    phone.send(message(), flow)
    assert await user.failure() == flow


async def test_a_connection_without_route_fails_its_flow(phone: Transports, user: Hearing) -> None:
    flow = Flow(transport="TCP", local=(LOOPBACK, phone.port), remote=("fe80::1%nowhere", 5060))
    phone.send(message(), flow)
    assert await user.failure() == flow


async def test_after_the_stop_nothing_is_sent(user: Hearing) -> None:
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
        flow = phone.flow_to("UDP", LOOPBACK, 5060)
    phone.send(message(), flow)
    assert user.failures.empty()


# --- a socket in trouble ---


def failing(monkeypatch: pytest.MonkeyPatch, errors: Iterator[OSError | None]) -> None:
    receive = socket.socket.recvfrom

    def troubled(sock: socket.socket, size: int) -> tuple[bytes, object]:
        error = next(errors)
        if error is not None:
            raise error
        return receive(sock, size)

    monkeypatch.setattr(socket.socket, "recvfrom", troubled, raising=False)


@pytest.mark.parametrize("code", [errno.ENETDOWN, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.EIO, errno.ENOMEM])
async def test_no_error_of_a_socket_ends_the_reading(
    code: int, phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(monkeypatch, chain([OSError(code, os.strerror(code))] * 100, repeat(None)))
    async with sending_to(LOOPBACK, phone.port) as peer:
        peer.send(message())
        data, come = await user.message()
        assert (data, come.remote) == (message(), peer.local)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_a_datagram_from_port_0_or_from_nowhere_is_dropped(
    user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = iter([(LOOPBACK, 0), ("203.0.113.99", 5060)])
    receive: Callable[..., tuple[bytes, tuple[str, int]]] = socket.socket.recvfrom

    def forged(sock: socket.socket, size: int) -> tuple[bytes, tuple[str, int]]:
        data, address = receive(sock, size)
        return data, next(sources, address)

    def unreachable(remote: str) -> str:
        if remote != LOOPBACK:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return LOOPBACK

    monkeypatch.setattr(socket.socket, "recvfrom", forged, raising=False)
    monkeypatch.setattr(routes, "local_address_towards", unreachable)
    async with opened(SIPSettings(bind="0.0.0.0", port=0), user) as phone, sending_to(LOOPBACK, phone.port) as peer:
        for number in range(3):
            peer.send(message(branch=str(number)))
        assert (await user.message())[0] == message(branch="2")


async def test_a_message_may_stop_the_reading() -> None:
    heard: list[bytes] = []

    def stop(data: bytes, flow: Flow) -> None:
        heard.append(data)
        datagrams.close()

    datagrams = Datagrams(routes_of(LOOPBACK), receive=stop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours, socket.socket(socket.AF_INET, ours.type) as peer:
        ours.settimeout(0)
        ours.bind((LOOPBACK, 0))
        datagrams.open({LOOPBACK: ours}, ours.getsockname()[1])
        for branch in ("1", "2"):
            peer.sendto(message(branch=branch), ours.getsockname())
        await until(lambda: bool(heard))
        assert ours.recv(1000) == message(branch="2")
    assert heard == [message(branch="1")]
