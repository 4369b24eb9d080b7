"""VoIPConnection: the messages of one dialog."""

import queue
from typing import TYPE_CHECKING, Final

from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.pyvoip.types import SOCKETS

if TYPE_CHECKING:
    from sip_bridge.pyvoip._link import CallLink
    from sip_bridge.pyvoip.SIP.client import SIPClient

MAX_UNREAD: Final = 128  # messages; the oldest give way
_PEEK_TIMEOUT: Final = 60  # seconds


class VoIPConnection:
    """One dialog, whatever carries it. A message that a call sends by itself is not sent a second time.

    ``voip_sock`` is the client whose sockets are used, ``conn`` is None: no dialog has a socket of its own.
    """

    def __init__(self, voip_sock: "SIPClient", conn: SOCKETS | None, message: SIPMessage) -> None:
        self.sock = voip_sock
        self.conn = conn
        self.mode = voip_sock.transport_mode
        self.message = message
        self.call_id: str = message.headers["Call-ID"]
        self.local_tag = ""
        self.remote_tag = ""
        self.link: CallLink | None = None
        self._messages: queue.Queue[bytes] = queue.Queue()
        self._peeked: bytes | None = None

    def send(self, data: bytes | str) -> None:
        """Send a message: a request to where its Request-URI leads, a response to where its request came from.

        SIPParseError for what is none. A response to an INVITE, a BYE or a CANCEL makes the call ring, be answered,
        refused or ended, with the dialog's own tags.
        """
        encoded = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        self.sock.send_in_dialog(self, encoded)

    def recv(self, nbytes: int = 8192, timeout: float = 0, peak: bool = False) -> bytes:
        """The next message of the dialog, waited for as long as it takes unless there is a ``timeout`` in seconds.

        TimeoutError when that expires, b"" when the dialog is over. With ``peak`` (sic) it stays to be read again.
        """
        if self._peeked is None:
            try:
                self._peeked = self._messages.get(timeout=timeout or None)
            except queue.Empty:
                raise TimeoutError(f"no message within {timeout} s") from None
        message = self._peeked
        if not peak and message:
            self._peeked = None
        return message[:nbytes]

    def peak(self) -> bytes:
        """The next message, which stays to be read (sic)."""
        return self.recv(timeout=_PEEK_TIMEOUT, peak=True)

    def update_tags(self, local_tag: str, remote_tag: str) -> None:
        """Note the tags of the dialog."""
        self.local_tag, self.remote_tag = local_tag, remote_tag

    def close(self) -> None:
        """Read no more messages."""
        self.sock.forget(self)
        self.end()

    # --- for the engine ---

    def deliver(self, data: bytes) -> None:
        """A message came."""
        if self._messages.qsize() >= MAX_UNREAD:
            self._messages.get_nowait()
        self._messages.put(data)

    def end(self) -> None:
        """The dialog is over; what came is still there to be read."""
        self._messages.put(b"")
