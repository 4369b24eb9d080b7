"""Connections over TCP: shared, replaced, bounded, and never in the way of one another."""

import asyncio
import errno
import logging
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace

import pytest

from sip_bridge.phone.settings import SIPSettings, TLSSettings
from sip_bridge.phone.transport import Transports, connection, connections, listener
from sip_bridge.phone.transport.connection import Connection
from sip_bridge.phone.transport.connections import Connections
from sip_bridge.phone.transport.routes import Routes
from sip_bridge.phone.transport.sockets import Sockets
from sip_bridge.phone.transport.tls import TLSContexts
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.limits import LIMITS
from sip_bridge.sip.stream import PING, PONG, MessageFramed, PingReceived, PongReceived
from tests.phone.peer import until
from tests.phone.sip_peer import Server, connected, serving
from tests.phone.transports import TIMEOUT, Hearing, message, opened, response

LOOPBACK = "127.0.0.1"


@pytest.fixture
def user() -> Hearing:
    return Hearing()


@pytest.fixture
async def phone(user: Hearing) -> AsyncIterator[Transports]:
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as transports:
        yield transports


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving("TCP") as listening:
        yield listening


async def closed_port() -> int:
    async with serving("TCP") as listening:
        return listening.port


# --- one connection for all ---


async def test_requests_to_one_peer_share_a_connection_and_answers_come_on_it(
    phone: Transports, user: Hearing, server: Server
) -> None:
    flow = phone.flow_to("TCP", LOOPBACK, server.port)
    phone.send(message(branch="1"), flow)
    phone.send(message(branch="2"), flow)
    peer = await server.peer()
    assert [await peer.item(), await peer.item()] == [
        MessageFramed(data=message(branch="1")),
        MessageFramed(data=message(branch="2")),
    ]
    phone.send(message(branch="3"), flow)
    assert await peer.item() == MessageFramed(data=message(branch="3"))
    peer.send(response("x"))
    data, come = await user.message()
    assert data == response("x")
    assert (come.transport, come.local, come.remote) == ("TCP", (LOOPBACK, phone.port), (LOOPBACK, server.port))
    assert server.peers.empty()


async def test_a_peer_that_called_us_is_called_over_its_own_connection(phone: Transports, user: Hearing) -> None:
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        _, come = await user.message()
        assert come == Flow(
            transport="TCP", local=(LOOPBACK, phone.port), remote=peer.local, connection=come.connection
        )
        phone.send(message("BYE"), phone.flow_to("TCP", *peer.local))
        assert await peer.item() == MessageFramed(data=message("BYE"))
        assert phone.established(*peer.local) == replace(come, connection=0)
        assert phone.established(LOOPBACK, 1) is None


async def test_two_connections_of_a_peer_get_their_own_answers(phone: Transports, user: Hearing) -> None:
    async with connected("TCP", LOOPBACK, phone.port) as one, connected("TCP", LOOPBACK, phone.port) as two:
        for peer in (one, two):
            peer.send(message())
            _, come = await user.message()
            phone.send(response(str(peer.local[1])), come)
        assert await one.item() == MessageFramed(data=response(str(one.local[1])))
        assert await two.item() == MessageFramed(data=response(str(two.local[1])))


async def test_several_messages_in_one_segment_and_one_in_pieces_come_one_by_one(
    phone: Transports, user: Hearing
) -> None:
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        texts = [message(branch=str(number)) for number in range(100)]
        peer.send(b"".join(texts))
        assert [(await user.message())[0] for _ in texts] == texts
        for index in range(len(texts[0])):
            peer.send(texts[0][index : index + 1])
            await asyncio.sleep(0)
        assert (await user.message())[0] == texts[0]


async def test_a_bug_of_ours_costs_neither_the_connection_nor_what_follows(
    phone: Transports, user: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    user.bug = RuntimeError("a bug")
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message(branch="1") + message(branch="2"))
        first = await user.message()
        second = await user.message()
        assert (first[0], second[0]) == (message(branch="1"), message(branch="2"))
        phone.send(response("x"), first[1])
        assert await peer.item() == MessageFramed(data=response("x"))
    assert [record.exc_info is not None for record in caplog.records if record.name == "asyncio"] == [True, True]


# --- keep-alives ---


async def test_a_ping_is_answered_and_a_pong_is_reported(phone: Transports, user: Hearing) -> None:
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.framer.ping_sent()
        peer.send(PING + message())
        assert await peer.item() == PongReceived()
        _, come = await user.message()
        phone.send(PING, come)
        assert await peer.item() == PingReceived()
        peer.send(PONG)
        assert await user.message() == (PONG, come)


async def test_a_peer_that_stops_answering_pings_is_gone(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PONG_TIME", 0.05)
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        _, come = await user.message()
        phone.send(PING, come)
        assert await peer.item() == PingReceived()
        await asyncio.sleep(0.1)  # it never answered one, so nothing follows from its silence
        peer.send(PONG)
        await user.message()
        phone.send(PING, come)
        assert await peer.item() == PingReceived()
        assert await user.failure() == come
        assert await peer.item() is None


# --- what is lost, and what is sent once more ---


async def test_a_refused_connection_fails_once_for_all_that_waited_for_it(phone: Transports, user: Hearing) -> None:
    flow = phone.flow_to("TCP", LOOPBACK, await closed_port())
    phone.send(message(branch="1"), flow)
    phone.send(message(branch="2"), flow)
    started = time.monotonic()
    assert await user.failure() == flow
    assert time.monotonic() - started < connections.CONNECT_TIME
    await user.finish()
    assert user.failures.empty()


async def test_who_does_not_answer_a_connect_is_given_up(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIME", 0.1)
    with socket.create_server((LOOPBACK, 0), backlog=0) as full, ExitStack() as stack:
        waiting = [stack.enter_context(socket.socket()) for _ in range(8)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
        flow = phone.flow_to("TCP", *full.getsockname())
        phone.send(message(), flow)
        assert await user.failure() == flow


async def test_too_much_that_waits_for_a_connection_fails(phone: Transports, user: Hearing, server: Server) -> None:
    flow = phone.flow_to("TCP", LOOPBACK, server.port)
    for _ in range(connection.MAX_QUEUED + 1):
        phone.send(message(), flow)
    assert await user.failure() == flow
    assert user.failures.empty()


async def test_requests_fail_when_their_connection_ends_after_a_sign_of_life(
    phone: Transports, user: Hearing, server: Server
) -> None:
    flow = phone.flow_to("TCP", LOOPBACK, server.port)
    phone.send(message("INVITE"), flow)
    peer = await server.peer()
    await peer.item()
    peer.send(response("trying"))
    await user.message()
    peer.close()
    assert await user.failure() == flow
    assert user.failures.empty()


@pytest.mark.parametrize("end", ["reset", "close"])
async def test_a_request_into_a_dead_connection_goes_out_once_more_over_a_fresh_one(
    end: str, phone: Transports, user: Hearing, server: Server
) -> None:
    flow = phone.flow_to("TCP", LOOPBACK, server.port)
    phone.send(message(branch="1"), flow)
    peer = await server.peer()
    await peer.item()
    peer.send(response("1"))
    await user.message()
    phone.send(message(branch="2"), flow)
    getattr(peer, end)()
    second = await server.peer()
    assert await second.item() == MessageFramed(data=message(branch="2"))
    assert user.failures.empty()
    second.reset()
    assert await user.failure() == flow
    assert server.peers.empty()


async def test_after_the_peer_restarts_it_is_reached_again(phone: Transports, user: Hearing) -> None:
    before = Server("TCP")
    await before.start(LOOPBACK)
    flow = phone.flow_to("TCP", LOOPBACK, before.port)
    phone.send(message(branch="1"), flow)
    peer = await before.peer()
    await peer.item()
    await before.stop()
    assert await user.failure() == flow
    phone.send(message(branch="2"), flow)
    assert await user.failure() == flow
    after = Server("TCP")
    await after.start(LOOPBACK, before.port)
    phone.send(message(branch="3"), flow)
    assert await (await after.peer()).item() == MessageFramed(data=message(branch="3"))
    await after.stop()


async def test_a_response_whose_connection_is_gone_goes_to_the_port_of_its_via(
    phone: Transports, user: Hearing, server: Server
) -> None:
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        _, come = await user.message()
    await until(lambda: phone.established(*come.remote) is None)
    late = response(f"SIP/2.0/TCP {LOOPBACK}:{server.port};branch=z9hG4bK1")
    phone.send(late, come)
    assert await (await server.peer()).item() == MessageFramed(data=late)


async def test_a_request_for_a_caller_that_went_away_fails(phone: Transports, user: Hearing) -> None:
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        _, come = await user.message()
        phone.send(message("INVITE"), come)
    assert await user.failure() == come
    phone.send(message("BYE"), come)
    assert await user.failure() == come


async def test_what_was_sent_before_the_stop_still_arrives(user: Hearing, server: Server) -> None:
    body = b"x" * 60000
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
        flow = phone.flow_to("TCP", LOOPBACK, server.port)
        phone.send(message(branch="1"), flow)
        peer = await server.peer()
        assert await peer.item() == MessageFramed(data=message(branch="1"))
        phone.send(message(branch="2", body=body), flow)
    phone.send(message(branch="3"), flow)
    assert [await peer.item(), await peer.item()] == [MessageFramed(data=message(branch="2", body=body)), None]
    assert user.failures.empty()


async def test_a_stop_does_not_wait_for_a_peer_that_does_not_read(
    user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SHUTDOWN_TIME", 0.05)
    monkeypatch.setattr(connection, "MAX_UNSENT", 1 << 30)
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
        _, writer = await asyncio.open_connection(LOOPBACK, phone.port, limit=1)
        writer.write(message())
        _, come = await user.message()
        for _ in range(340):
            phone.send(message("INVITE", body=b"x" * 60000), come)
    assert phone.connections == 0
    writer.close()


async def test_a_peer_that_goes_without_reading_is_not_kept_for_long(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_UNSENT", 1 << 30)
    monkeypatch.setattr(connection, "FLUSH_TIME", 0.05)
    _, writer = await asyncio.open_connection(LOOPBACK, phone.port, limit=1)
    writer.write(message())
    _, come = await user.message()
    for _ in range(340):
        phone.send(message("INVITE", body=b"x" * 60000), come)
    writer.write_eof()
    assert await user.failure() == come
    assert phone.connections == 1
    await until(lambda: phone.connections == 0)
    writer.close()


async def test_a_stop_ends_what_is_being_connected(user: Hearing) -> None:
    with socket.create_server((LOOPBACK, 0), backlog=0) as full, ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
        async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
            flow = phone.flow_to("TCP", *full.getsockname())
            phone.send(message(), flow)
            await asyncio.sleep(0.01)  # the attempt is under way
            started = time.monotonic()
    assert time.monotonic() - started < connections.CONNECT_TIME
    assert (phone.connections, user.failures.empty()) == (0, True)


async def test_a_stop_ends_what_was_not_even_begun(user: Hearing, server: Server) -> None:
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
        phone.send(message(), phone.flow_to("TCP", LOOPBACK, server.port))
    assert (phone.connections, user.failures.empty(), server.peers.empty()) == (0, True, True)


async def test_an_address_of_ours_that_is_gone_fails_its_flows(user: Hearing) -> None:
    routes = Routes()
    routes.bound = ("192.0.2.77",)
    table = Connections(user, routes, TLSContexts(TLSSettings()), LIMITS)
    table.open(Sockets(port=5060))
    flow = Flow(transport="TCP", local=("192.0.2.77", 5060), remote=(LOOPBACK, 5060))
    table.send(message(), flow)
    assert await user.failure() == flow
    with pytest.raises(OSError, match="assign"):
        table.flow_to("TLS", LOOPBACK, 5061, None)


async def test_a_connection_that_was_given_up_is_not_opened_later(user: Hearing, server: Server) -> None:
    table = Connections(user, Routes(), TLSContexts(TLSSettings()), LIMITS)
    flow = Flow(transport="TCP", local=(LOOPBACK, 5060), remote=(LOOPBACK, server.port))
    given_up = Connection(flow, is_inbound=False, owner=table, now=0.0)
    given_up.is_over = True
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: given_up, LOOPBACK, server.port)
    await asyncio.wait_for(given_up.ended.wait(), TIMEOUT)
    assert not given_up.is_open


# --- peers that behave badly ---


async def test_a_broken_stream_is_answered_and_then_closed(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_TIME", 0.05)
    bad = b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n"
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(bad + message())
        data, come = await user.message()
        assert data == bad
        phone.send(response("x"), replace(come, connection=come.connection))
    assert user.messages.empty()


async def test_a_peer_that_breaks_the_stream_and_resets_it_leaves_no_trace(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "LINGER_TIME", 0.05)
    with socket.create_connection((LOOPBACK, phone.port)) as sock:
        await until(lambda: phone.connections == 1)
        await asyncio.sleep(0.01)
        sock.send(b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await user.message()
    await until(lambda: phone.connections == 0)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_the_answer_to_a_broken_stream_arrives_though_the_peer_goes_on_sending(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_TIME", 0.05)

    def answer(data: bytes, flow: Flow) -> None:
        phone.send(response("refused"), flow)

    monkeypatch.setattr(user, "receive", answer)
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n" + b"x" * 300_000)
        assert await peer.item() == MessageFramed(data=response("refused"))
        assert await peer.item() is None


async def test_a_slow_sender_is_cut_off_and_others_do_not_notice(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sip_bridge.sip.stream.MESSAGE_TIME", 0.2)
    async with connected("TCP", LOOPBACK, phone.port) as slow, connected("TCP", LOOPBACK, phone.port) as quick:
        slow.send(b"OPT")
        for number in range(20):
            quick.send(message(branch=str(number)))
            assert (await user.message())[0] == message(branch=str(number))
        assert await slow.item() is None
        quick.send(message())
        assert (await user.message())[0] == message()


async def test_two_hundred_slow_sockets_keep_nobody_out(phone: Transports, user: Hearing) -> None:
    async with AsyncExitStack() as stack:
        slow = [stack.enter_context(socket.socket()) for _ in range(200)]
        for sock in slow:
            sock.settimeout(0)
            sock.connect_ex((LOOPBACK, phone.port))
        for sock in slow[:50]:
            await until(lambda sock=sock: _sent(sock, b"O"))  # type: ignore[misc]
        async with connected("TCP", LOOPBACK, phone.port) as peer:
            peer.send(message())
            assert (await user.message())[0] == message()


def _sent(sock: socket.socket, data: bytes) -> bool:
    """Also when the other side was so bold as to close."""
    try:
        sock.send(data)
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno in (errno.ECONNRESET, errno.EPIPE)
    return True


async def test_a_host_that_has_all_its_connections_in_use_gets_no_further_one(phone: Transports, user: Hearing) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(connections.MAX_INBOUND_PER_HOST):
            peer = await stack.enter_async_context(connected("TCP", LOOPBACK, phone.port))
            peer.send(message())
            await user.message()
        further = await stack.enter_async_context(connected("TCP", LOOPBACK, phone.port))
        assert await further.item() is None


async def test_a_stranger_makes_room(phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_INBOUND", 1)
    user.strangers.add(LOOPBACK)
    async with connected("TCP", LOOPBACK, phone.port) as stranger:
        stranger.send(message())
        await user.message()
        async with connected("TCP", LOOPBACK, phone.port) as second:
            second.send(message())
            await user.message()
            assert await stranger.item() is None


async def test_a_stranger_does_not_displace_whom_we_know(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_INBOUND", 1)
    user.strangers.add("127.0.0.2")
    async with connected("TCP", LOOPBACK, phone.port) as friend:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(LOOPBACK, phone.port, local_addr=("127.0.0.2", 0))
        assert await asyncio.wait_for(reader.read(), TIMEOUT) == b""
        writer.close()
        friend.send(message())
        assert (await user.message())[0] == message()
        assert loop.is_running()


async def test_who_was_idle_for_long_makes_room(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_INBOUND_PER_HOST", 1)
    monkeypatch.setattr(connections, "EVICTABLE_AFTER", -1.0)
    async with connected("TCP", LOOPBACK, phone.port) as idle:
        idle.send(message())
        await user.message()
        async with connected("TCP", LOOPBACK, phone.port) as second:
            second.send(message())
            await user.message()
            assert await idle.item() is None


async def test_an_idle_connection_ends_unless_a_call_is_up(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_TIME", 0.1)
    user.has_call = True
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        await user.message()
        await asyncio.sleep(0.25)
        peer.send(message())
        assert (await user.message())[0] == message()
        user.has_call = False
        assert await peer.item() is None


async def test_a_peer_that_does_not_read_is_closed(phone: Transports, user: Hearing) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, phone.port, limit=1)
    writer.write(message())
    _, come = await user.message()
    for _ in range(200):
        phone.send(message("INVITE", body=b"x" * 60000), replace(come, connection=come.connection))
    assert await user.failure() == come
    writer.close()
    del reader


async def test_a_peer_that_reads_no_more_for_long_is_closed_too(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STUCK_TIME", 0.05)
    monkeypatch.setattr(connection, "MAX_UNSENT", 1 << 30)
    monkeypatch.setattr(connection, "HIGH_WATER", 1 << 16)
    _, writer = await asyncio.open_connection(LOOPBACK, phone.port, limit=1)
    writer.write(message())
    _, come = await user.message()
    for _ in range(340):  # more than the kernel takes
        phone.send(message("INVITE", body=b"x" * 60000), come)
    assert await user.failure() == come
    writer.close()


async def test_a_peer_that_goes_on_reading_in_time_is_kept(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_UNSENT", 1 << 30)
    monkeypatch.setattr(connection, "HIGH_WATER", 1 << 16)
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        _, come = await user.message()
        big = message("INVITE", body=b"x" * 60000)
        for _ in range(340):
            phone.send(big, come)
        assert [await peer.item() for _ in range(340)] == [MessageFramed(data=big)] * 340
        phone.send(message(), come)
        assert await peer.item() == MessageFramed(data=message())


async def test_without_file_descriptors_the_listener_rests_and_goes_on(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_PAUSE", 0.01)
    accept = socket.socket.accept
    failures = iter([errno.EMFILE, errno.EMFILE, errno.ECONNABORTED])

    def exhausted(sock: socket.socket) -> tuple[socket.socket, object]:
        code = next(failures, None)
        if code is not None:
            raise OSError(code, os.strerror(code))
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", exhausted)
    async with connected("TCP", LOOPBACK, phone.port) as peer:
        peer.send(message())
        assert (await user.message())[0] == message()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["can't take connections: Too many open files"]


async def test_a_stop_ends_a_listener_that_rests(
    user: Hearing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def exhausted(sock: socket.socket) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "accept", exhausted)
    async with opened(SIPSettings(bind=LOOPBACK, port=0), user) as phone:
        _, writer = await asyncio.open_connection(LOOPBACK, phone.port)
        await until(lambda: bool(caplog.records))
    writer.close()


async def test_outgoing_connections_are_bounded(
    phone: Transports, user: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_OUTBOUND", 1)
    async with serving("TCP") as one, serving("TCP") as two:
        first = phone.flow_to("TCP", LOOPBACK, one.port)
        phone.send(message(), first)
        await (await one.peer()).item()
        phone.send(message(), phone.flow_to("TCP", LOOPBACK, two.port))
        assert await user.failure() == first
        assert await (await two.peer()).item() == MessageFramed(data=message())
