"""RTP ports: even, in pairs, never twice, and given back."""

import socket

import pytest

from sip_bridge.errors import InvalidRangeError, NoPortsAvailableError
from sip_bridge.phone.ports import PortAllocator, SocketPair
from sip_bridge.phone.settings import PortRange

LOOPBACK = "127.0.0.1"


def numbers(*pairs: SocketPair) -> list[tuple[int, int]]:
    return sorted((rtp.getsockname()[1], rtcp.getsockname()[1]) for rtp, rtcp in pairs)


def close(*pairs: SocketPair) -> None:
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_pairs_are_an_even_port_and_the_next_until_none_is_left() -> None:
    allocator = PortAllocator(PortRange(low=18001, high=18008))
    pairs = [allocator.bind(LOOPBACK) for _ in range(3)]
    assert numbers(*pairs) == [(18002, 18003), (18004, 18005), (18006, 18007)]
    with pytest.raises(NoPortsAvailableError, match="all RTP ports from 18002 to 18006 are in use"):
        allocator.bind(LOOPBACK)
    close(*pairs)


def test_a_closed_pair_is_free_again() -> None:
    allocator = PortAllocator(PortRange(low=18010, high=18011))
    for _ in range(50):
        pair = allocator.bind(LOOPBACK)
        assert numbers(pair) == [(18010, 18011)]
        close(pair)


def test_a_pair_that_was_closed_is_given_last() -> None:
    allocator = PortAllocator(PortRange(low=18050, high=18057))
    given = []
    for _ in range(8):
        pair = allocator.bind(LOOPBACK)
        given += numbers(pair)
        close(pair)
    assert len(set(given[:4])) == 4
    assert given[4:] == given[:4]


def test_two_allocators_of_one_range_never_share_a_port() -> None:
    ports = PortRange(low=18020, high=18027)
    allocators = [PortAllocator(ports), PortAllocator(ports)]
    pairs = [allocators[i % 2].bind(LOOPBACK) for i in range(4)]
    assert len(set(numbers(*pairs))) == 4
    close(*pairs)


def test_a_pair_whose_second_port_is_taken_is_passed_over_and_let_go() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 18031))
        allocator = PortAllocator(PortRange(low=18030, high=18033))
        for _ in range(20):  # the search starts anywhere
            pair = allocator.bind(LOOPBACK)
            assert numbers(pair) == [(18032, 18033)]
            close(pair)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as freed:
            freed.bind((LOOPBACK, 18030))


def test_ipv6_has_its_ports_too() -> None:
    pair = PortAllocator(PortRange(low=18040, high=18041)).bind("::1")
    assert pair[0].family == socket.AF_INET6
    close(pair)


def test_an_address_that_is_not_ours_has_no_ports() -> None:
    with pytest.raises(NoPortsAvailableError, match=r"in use at 192\.0\.2\.1"):
        PortAllocator(PortRange(low=18050, high=18051)).bind("192.0.2.1")


@pytest.mark.parametrize(("low", "high"), [(0, 2000), (18000, 17998), (18000, 70000), (18001, 18002), (18000, 18000)])
def test_a_range_without_a_pair_is_refused(low: int, high: int) -> None:
    with pytest.raises(InvalidRangeError, match=f"RTP ports {low} to {high}: expected 1024 to 65535"):
        PortAllocator(PortRange(low=low, high=high))
