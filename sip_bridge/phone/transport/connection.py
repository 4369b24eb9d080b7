"""One TCP or TLS connection, from the attempt to its end."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol, cast

from sip_bridge.sip.flow import Flow
from sip_bridge.sip.limits import LIMITS, Limits
from sip_bridge.sip.stream import (
    PING,
    PONG,
    MessageFramed,
    PingReceived,
    PongReceived,
    StreamBroken,
    StreamFramer,
    StreamItem,
)
from sip_bridge.sip.timers import NEVER

_LOG = logging.getLogger(__name__)
MAX_QUEUED: Final = 64  # messages that wait until the connection is there
MAX_UNANSWERED: Final = 64  # requests kept, to be sent once more should the connection turn out to be a dead one
MAX_UNSENT: Final = 256 * 1024  # bytes: a peer that does not read is not waited for
HIGH_WATER: Final = MAX_UNSENT // 4  # from here on the peer has to read on in time
STUCK_TIME: Final = 10.0  # seconds for a peer to go on reading
IDLE_TIME: Final = 180.0  # seconds without a byte after which an inbound connection ends, unless it is needed
PONG_TIME: Final = 10.0  # seconds for a peer that has answered pings (RFC 5626 §4.4.1)
FLUSH_TIME: Final = 10.0  # seconds for what is written already, when the connection ends
LINGER_TIME: Final = 1.0  # seconds for the refusal of a broken stream to reach the peer
_BURST: Final = 32  # messages handled before other tasks of the loop get their turn

Sending = tuple[bytes, Flow]


class ConnectionOwner(Protocol):
    """Who hears of a connection."""

    def received(self, data: bytes, flow: Flow) -> None:
        """A message, or the CRLF that answers a ping of ours."""

    def closed(self, connection: "Connection", *, unanswered: list[Sending]) -> None:
        """It is over, told once; ``unanswered`` are requests that perhaps nobody read."""

    def gone(self, connection: "Connection") -> None:
        """Its socket is free; told after `closed`."""

    def is_needed(self, connection: "Connection") -> bool:
        """Whether an idle connection has to stay."""


def is_response(data: bytes) -> bool:
    """Whether these bytes are a response."""
    return data.startswith(b"SIP/2.0 ")


class Connection(asyncio.Protocol):
    """Messages go out as they are, and come in one by one. ``flow`` is what they come on."""

    def __init__(
        self, flow: Flow, *, is_inbound: bool, owner: ConnectionOwner, now: float, limits: Limits = LIMITS
    ) -> None:
        self._owner = owner
        self._framer = StreamFramer(limits=limits)
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._unanswered: list[Sending] = []
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[object] | None = None
        self._has_ponged = False
        self._pong_by = NEVER
        self._read_by = NEVER
        self._gone_by = NEVER
        self.flow = flow
        self.is_inbound = is_inbound
        self.flows: dict[Flow, None] = {}  # the flows that requests were sent over: they fail with the connection
        self.active_at = now
        self.has_spoken = False  # a whole message came
        self.is_over = False
        self.ended = asyncio.Event()

    @property
    def peer(self) -> tuple[str, str, int]:
        """Transport, host and port."""
        return (self.flow.transport, *self.flow.remote)

    @property
    def is_open(self) -> bool:
        """Whether it is there: connected, and over TLS verified."""
        return self._transport is not None

    @contextmanager
    def being_opened(self, sock: socket.socket) -> Iterator[None]:
        """Within it a task connects, or shakes hands; ending the connection cancels it, and frees its socket."""
        self._opening = asyncio.current_task()
        try:
            if self.is_over:
                raise ConnectionAbortedError("over before it began")
            yield
        finally:
            self._opening = None
            if self._transport is None:
                sock.close()

    # --- orders ---

    def send(self, data: bytes, flow: Flow) -> None:
        """Send, as soon as the connection is there. Should it fail, its owner is told."""
        if not is_response(data):
            self.flows[flow] = None
        if self._transport is None:
            self._queue.append(data)
            if len(self._queue) > MAX_QUEUED:
                self.abort("too much waits for it")
            return
        if not is_response(data) and not data.startswith((b"ACK ", PONG)):
            del self._unanswered[: len(self._unanswered) + 1 - MAX_UNANSWERED]
            self._unanswered.append((data, flow))
        self._write(data)

    def close(self) -> None:
        """End it when all is sent."""
        self._end("closed by us", within=FLUSH_TIME)

    def abort(self, reason: str) -> None:
        """End it now."""
        self._end(reason, within=0.0)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; over TLS, the peer is who it should be."""
        stream = cast("asyncio.Transport", transport)  # what create_connection makes, in any event loop
        if self.is_over:
            stream.abort()
            return
        self._transport = stream
        stream.set_write_buffer_limits(high=HIGH_WATER)
        queue, self._queue = self._queue, []
        for data in queue:
            self._write(data)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """The peer is there and reads: whatever was sent before has reached it."""
        if self.is_over:
            return
        self.active_at = asyncio.get_running_loop().time()
        self._pong_by = NEVER
        self._unanswered.clear()
        self._framer.feed(data, self.active_at)
        asyncio.get_running_loop().call_soon(self._read)  # not here: an exception would end the connection

    def eof_received(self) -> bool:
        """The peer has closed its side; what it sent before counts, and what is written already still goes out."""
        self._read()
        self._end("closed by the peer", within=FLUSH_TIME, unanswered=self._unanswered)
        return False

    def pause_writing(self) -> None:
        """The peer does not read for the moment."""
        self._read_by = asyncio.get_running_loop().time() + STUCK_TIME
        self._arm()

    def resume_writing(self) -> None:
        """It reads again."""
        self._read_by = NEVER

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._leave(str(exc or "closed"), self._unanswered)
        self._gone()

    # --- inside ---

    def _read(self) -> None:
        """Take some messages, the rest when the loop comes round: also after a bug, which the loop logs."""
        has_more = True
        try:
            for _ in range(_BURST):
                item = None if self.is_over else self._framer.next_item()
                if item is None:
                    has_more = False
                    break
                self._take(item)
        finally:
            if has_more:
                self._stream.pause_reading()
                asyncio.get_running_loop().call_soon(self._read)
            else:
                self._stream.resume_reading()
                self._arm()

    def _take(self, item: StreamItem) -> None:
        match item:
            case MessageFramed(data=data):
                self.has_spoken = True
                self._owner.received(data, self.flow)
            case PingReceived():
                self._write(PONG)
            case PongReceived():
                self._has_ponged = True
                self._owner.received(PONG, self.flow)
            case StreamBroken(reason=reason, head=head):
                self._give_up(reason, head)

    def _give_up(self, reason: str, head: bytes) -> None:
        """Let the refusal reach the peer, which may be sending still: closing at once could reset it away."""
        self._owner.received(head, self.flow)
        if not self.is_over and self._stream.can_write_eof():
            with suppress(OSError):  # the peer may have gone, which the loop has not noticed yet
                self._stream.write_eof()
        self._leave(reason)
        self._set_end(LINGER_TIME)

    def _write(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self.active_at = now
        self._stream.write(data)
        if self._stream.get_write_buffer_size() > MAX_UNSENT:
            self.abort("the peer does not read")
        elif data == PING:
            self._framer.ping_sent()
            self._pong_by = min(self._pong_by, now + PONG_TIME) if self._has_ponged else NEVER
            self._arm()

    @property
    def _stream(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101  # nothing is read or written before
        return self._transport

    @property
    def _name(self) -> str:
        return f"{self.flow.transport} {self.flow.remote[0]} port {self.flow.remote[1]}"

    def _deadlines(self) -> dict[str, float]:
        return {
            "a message took too long": self._framer.deadline,
            "the peer does not read": self._read_by,
            "a ping was not answered": self._pong_by,
            "idle": self.active_at + IDLE_TIME if self.is_inbound else NEVER,
        }

    def _arm(self) -> None:
        """See to it that `_check` runs at the first deadline, or before."""
        deadline = self._gone_by if self.is_over else min(self._deadlines().values())
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline != NEVER:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._check)

    def _check(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        if self.is_over:
            self._stream.abort()
            return
        overdue = [reason for reason, deadline in self._deadlines().items() if deadline <= now]
        if overdue == ["idle"] and self._owner.is_needed(self):
            self.active_at = now
        elif overdue:
            self.abort(overdue[0])
            return
        self._arm()

    def _end(self, reason: str, *, within: float, unanswered: Sequence[Sending] = ()) -> None:
        """Nothing more is sent from here on; what is written already has some seconds to go out."""
        self._leave(reason, unanswered)
        if self._transport is None:
            if self._opening is not None:
                self._opening.cancel()
            self._gone()
        elif within:
            self._transport.close()
            self._set_end(within)
        else:
            self._transport.abort()

    def _set_end(self, within: float) -> None:
        self._gone_by = asyncio.get_running_loop().time() + within
        self._arm()

    def _leave(self, reason: str, unanswered: Sequence[Sending] = ()) -> None:
        """Tell that nothing goes this way any more, once."""
        if not self.is_over:
            self.is_over = True
            _LOG.debug("%s is over: %s", self._name, reason)
            self._owner.closed(self, unanswered=list(unanswered))

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._owner.gone(self)
        self.ended.set()
