"""What a call's sound is connected to, beside what plays: another call, or a program."""

from typing import TYPE_CHECKING, Final

from sip_bridge.errors import InvalidStateError
from sip_bridge.phone.events import CallChanged
from sip_bridge.phone.live import PCMSink, PCMSource

if TYPE_CHECKING:
    from sip_bridge.phone.call import VoIPCall
    from sip_bridge.phone.phone import VoIPPhone

JOIN_BUFFER: Final = 0.06  # seconds that the sound of one call may wait for the other: both have the same clock


class CallConnections:
    """One source that is said while nothing plays, any number of sinks, and maybe one call that it is joined to."""

    def __init__(self, phone: "VoIPPhone", call: "VoIPCall") -> None:
        self._phone = phone
        self._call = call
        self._source: PCMSource | None = None
        self._sinks: list[PCMSink] = []
        self._join: tuple[VoIPCall, PCMSource] | None = None  # to whom, and what it hears of us

    @property
    def joined_to(self) -> "VoIPCall | None":
        """The call whose other party ours talks to."""
        return None if self._join is None else self._join[0]

    def join(self, other: "VoIPCall") -> None:
        """See `VoIPCall.join`."""
        if other is self._call:
            raise InvalidStateError("a call can't be joined to itself")
        for each in (self._call, other):
            each.require_talking()
            each.connections.require_free()
        to_us, to_other = PCMSource(buffer=JOIN_BUFFER), PCMSource(buffer=JOIN_BUFFER)
        self.connect(other, said=to_us, heard=to_other)
        other.connections.connect(self._call, said=to_other, heard=to_us)
        self.tell()
        other.connections.tell()

    def separate(self) -> None:
        """See `VoIPCall.separate`."""
        other = self.joined_to
        if other is None:
            raise InvalidStateError(f"call {self._call.call_id} is joined to none")
        self.disconnect()
        other.connections.disconnect()
        self.tell()
        other.connections.tell()

    def speak(self, source: PCMSource) -> None:
        """Have the call say what a program gives while nothing plays."""
        self._call.require_talking()
        self.require_free()
        self._source = self._call.media.live = source

    def listen(self, sink: PCMSink) -> None:
        """Have a program hear the call's other party, until `unlisten` or the end of the call."""
        self._call.require_talking()
        self._sinks.append(sink)
        self._call.media.sinks.append(sink)

    def unlisten(self, sink: PCMSink) -> None:
        """Undo `listen`; whoever still reads is told."""
        self._sinks.remove(sink)
        self._call.media.sinks.remove(sink)
        sink.close()

    def close(self) -> None:
        """The call is over: whoever reads or writes is told, and the other call goes on by itself."""
        if self._join is not None:
            self.separate()
        if self._source is not None:
            self._source.close()
        for sink in self._sinks:
            sink.close()

    # --- for the call that it is joined to ---

    def require_free(self) -> None:
        """InvalidStateError while something is said already."""
        if self._call.media.live is not None:
            raise InvalidStateError(f"call {self._call.call_id} is joined or connected already")

    def connect(self, other: "VoIPCall", *, said: PCMSource, heard: PCMSource) -> None:
        """One side of a join."""
        self._join = other, heard
        self._call.media.live = said
        self._call.media.sinks.append(heard)

    def disconnect(self) -> None:
        """Undo `connect`."""
        if self._join is not None:
            self._call.media.sinks.remove(self._join[1])
            self._call.media.live = None
            self._join = None

    def tell(self) -> None:
        """Who is joined has changed; the end of a call tells that by itself."""
        if self._call.is_talking:
            self._phone.tell(CallChanged(call=self._call))
