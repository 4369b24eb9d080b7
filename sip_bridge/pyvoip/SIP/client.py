"""SIPClient: the registration and the dialogs of one account, for threads."""

import logging
import secrets
import ssl
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sip_bridge import pyvoip
from sip_bridge.errors import InvalidStateError, RemoteProtocolError
from sip_bridge.media.sdp import MediaDescription, SessionDescription
from sip_bridge.phone.settings import PortRange, RealmCredentials, RegisteredAccount, Secret, SIPSettings, TLSSettings
from sip_bridge.pyvoip._engine import LINE, Engine, serving
from sip_bridge.pyvoip._loop import LoopThread, Workers
from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.networking.nat import NAT
from sip_bridge.pyvoip.networking.sock import VoIPConnection
from sip_bridge.pyvoip.networking.transport import TransportMode
from sip_bridge.pyvoip.RTP import PayloadType, TransmitType
from sip_bridge.pyvoip.SIP.error import InvalidAccountInfoError, SIPParseError
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.pyvoip.types import KEY_PASSWORD
from sip_bridge.sip.events import MessageSent

if TYPE_CHECKING:
    from sip_bridge.pyvoip.VoIP.phone import VoIPPhone

_LOG = logging.getLogger(__name__)
CODECS: Final = ("PCMU", "PCMA")  # that a call is taken in
_ANY: Final = "0.0.0.0"  # noqa: S104  # a door station calls from the network
CallCallback = Callable[[VoIPConnection, SIPMessage], str | None]


class SIPClient:
    """Talks to a PBX. ``call_callback`` hears of each call, ``fatal_callback`` of a registration that is given up.

    Both run in threads of their own and may block. The client's own ports, timers and retransmissions live on an event
    loop in another thread, from `start` to `stop`.
    """

    def __init__(
        self,
        server: str,
        port: int,
        user: str,
        credentials_manager: CredentialsManager,
        bind_ip: str = _ANY,
        bind_network: str = "0.0.0.0/0",
        hostname: str | None = None,
        remote_hostname: str | None = None,
        bind_port: int = 5060,
        call_callback: CallCallback | None = None,
        fatal_callback: Callable[..., None] | None = None,
        transport_mode: TransportMode = TransportMode.UDP,
        cert_file: str | None = None,
        key_file: str | None = None,
        key_password: KEY_PASSWORD = None,
        *,
        phone: "VoIPPhone | None" = None,
    ) -> None:
        self.server = server
        self.port = port
        self.user = user
        self.credentials_manager = credentials_manager
        self.phone = phone
        self.bind_ip = bind_ip
        self.bind_network = bind_network
        self.bind_port = bind_port
        self.nat = NAT(bind_ip, bind_network, hostname, remote_hostname)
        self._is_nat_set = hostname is not None or remote_hostname is not None
        self.call_callback = call_callback
        self.fatal_callback = fatal_callback
        self.transport_mode = transport_mode
        self.cert_file = cert_file
        self.key_file = key_file
        self.key_password = key_password
        self.default_expires = 300  # seconds that REGISTER asks for
        self.register_timeout = 30  # seconds for each try
        self.NSD = False  # whether it is started
        self.workers = Workers()
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None
        self._engine: Engine | None = None

    # --- the document's methods ---

    def start(self) -> None:
        """Listen, and register: returns when the PBX has agreed.

        InvalidAccountInfoError when it refuses, TimeoutError when it never answers: ``fatal_callback`` is called first,
        and no further try is made until `stop` and `start`. RuntimeError when it is started already.
        """
        with self._lock:
            if self.NSD:
                raise RuntimeError("the SIPClient is started already")
            serve = partial(serving, self._settings(), self._account(), self, tell=self._set_engine)
            loop = LoopThread(f"SIPClient {self.user}@{self.server}", serve)
            loop.start()
            self._loop, self.NSD = loop, True
        try:
            loop.run(self.engine.until_registered(self.register_timeout * self.threshold))
        except (InvalidAccountInfoError, TimeoutError):
            self._call_fatal()
            raise

    def stop(self) -> None:
        """Hang up, deregister, and end every thread. Waits a few seconds at the most; a second time it does nothing."""
        with self._lock:
            loop = self._loop
            if loop is None or not self.NSD:
                return
            loop.refuse_own_thread()
            self.NSD = False
            loop.stop()  # whoever stops it at the same time waits for that, too
        self.workers.join()

    def send(self, request: str) -> VoIPConnection:
        """Send a request that begins a dialog, to where its Request-URI leads; returns what continues the dialog."""
        data = request.encode("utf-8", "surrogateescape")
        connection = self.make_connection(SIPMessage(data))
        self._run_loop().call(lambda: self.engine.connect(connection))
        self.send_in_dialog(connection, data)
        return connection

    def invite(
        self, number: str, ms: dict[int, dict[int, PayloadType]], sendtype: TransmitType
    ) -> tuple[SIPMessage, str, int, VoIPConnection]:
        """Call a number or URI; ``ms`` maps the ports that the caller of this listens on to their payload types.

        Returns the INVITE that was sent, its Call-ID, the id of its session, and the connection that the responses come
        on. Challenges, retransmissions and the ACK are taken care of.
        """
        session_id = secrets.randbits(31)
        describe = partial(_offer, ms=ms, sendtype=sendtype, session_id=session_id)
        request, connection = self._run_loop().run(self.engine.invite(number, describe))
        return request, connection.call_id, session_id, connection

    def bye(self, request: SIPMessage) -> None:
        """End the call that a message belongs to; InvalidStateError when it is over."""
        self._run_loop().call(lambda: self.engine.hang_up(request.headers["Call-ID"]))

    def cancel(self, request: SIPMessage) -> None:
        """Give up a call that was not answered yet."""
        self.bye(request)

    def register(self) -> bool:
        """Register once more, and say whether that was confirmed in time; it is renewed 5 s before it runs out.

        InvalidAccountInfoError when the PBX refuses.
        """
        try:
            self._run_loop().run(self.engine.register_anew(self.register_timeout))
        except TimeoutError:
            return False
        return True

    def deregister(self) -> bool:
        """Say that we can't be called any more; whether that was confirmed in time."""
        return self._run_loop().run(self.engine.deregister(self.register_timeout))

    # --- for phones, calls and connections ---

    def place(self, number: str, codecs: tuple[str, ...]) -> tuple[SIPMessage, VoIPConnection]:
        """Call a number or URI, with sound; the INVITE that was sent, and its connection."""
        return self._run_loop().run(self.engine.place(number, codecs))

    def send_text(self, number: str, body: str, ctype: str) -> bool:
        """Send a MESSAGE; whether it was accepted."""
        outcome = self._run_loop().run(self.engine.send_message(number, body, content_type=ctype))
        return isinstance(outcome, MessageSent)

    def send_in_dialog(self, connection: VoIPConnection, data: bytes) -> None:
        """See `VoIPConnection.send`."""
        try:
            self._run_loop().run(self.engine.send(connection, data))
        except RemoteProtocolError as error:
            raise SIPParseError(str(error)) from error

    def forget(self, connection: VoIPConnection) -> None:
        """Bring it no more messages."""
        if self.NSD:
            self._run_loop().call(lambda: self.engine.connections.pop(connection.call_id, None))

    @property
    def loop(self) -> LoopThread:
        """The loop's thread; InvalidStateError when there is none."""
        return self._run_loop()

    @property
    def engine(self) -> Engine:
        """What lives on the loop; InvalidStateError when it was never started."""
        if self._engine is None:
            raise InvalidStateError("not started")
        return self._engine

    @property
    def is_registered(self) -> bool:
        """Whether the PBX knows where we are."""
        return self.NSD and self._engine is not None and self._engine.is_registered

    @property
    def register_failures(self) -> int:
        """How often in a row registering failed."""
        return 0 if self._engine is None else self._engine.failures

    def _run_loop(self) -> LoopThread:
        loop = self._loop
        if loop is None or not self.NSD:
            raise InvalidStateError("not started")
        return loop

    def _set_engine(self, engine: Engine) -> None:
        self._engine = engine

    # --- `Owner`, on the loop ---

    @property
    def threshold(self) -> int:
        """How many failures in a row are too many."""
        return pyvoip.REGISTER_FAILURE_THRESHOLD

    @property
    def manages_calls(self) -> bool:
        """Whether a phone takes care of the sound of calls."""
        return self.phone is not None

    def make_connection(self, message: SIPMessage) -> VoIPConnection:
        """See `Owner`."""
        return VoIPConnection(self, None, message)

    def call_received(self, connection: VoIPConnection, request: SIPMessage) -> None:
        """See `Owner`."""
        callback = self.call_callback
        if callback is not None:
            self.workers.start(lambda: callback(connection, request), f"call_callback of {connection.call_id}")

    def gave_up(self) -> None:
        """See `Owner`."""
        self.workers.start(self._call_fatal, "fatal_callback")

    def _call_fatal(self) -> None:
        _LOG.error("%s@%s: not registered any more, no further try is made", self.user, self.server)
        if self.fatal_callback is not None:
            self.fatal_callback()

    # --- settings of the engine ---

    def _settings(self) -> SIPSettings:
        is_tls = self.transport_mode is TransportMode.TLS
        parameter = self.phone.voip_phone_parameter if self.phone is not None else None
        return SIPSettings(
            bind=self.bind_ip,
            port=0 if is_tls else self.bind_port,
            tls_port=self.bind_port,
            tls=TLSSettings(
                certificate=_path(self.cert_file),
                key=_path(self.key_file),
                key_password=_key_password(self.key_password),
                verify=pyvoip.TLS_VERIFY_MODE != ssl.CERT_NONE,
            ),
            advertised_host=self.nat.get_host(self.server) if self._is_nat_set else None,
            rtp_ports=PortRange(low=parameter.rtp_port_low, high=parameter.rtp_port_high) if parameter else PortRange(),
        )

    def _account(self) -> RegisteredAccount:
        manager = self.credentials_manager
        default = manager.for_any_realm(self.server, self.user)
        return RegisteredAccount(
            id=LINE,
            name="",
            user=self.user,
            server=self.server,
            port=self.port,
            auth_user=default.username,
            password=Secret(default.password),
            credentials=tuple(
                RealmCredentials(realm=realm, username=each.username, password=Secret(each.password))
                for realm, each in manager.realms(self.server, self.user).items()
            ),
            min_algorithm="MD5" if pyvoip.ALLOW_MD5_AUTH else "SHA-256",
            transport=self.transport_mode.value.lower(),
            expires=self.default_expires,
            codecs=CODECS,
        )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _key_password(given: KEY_PASSWORD) -> Secret | None:
    """In every form that ``ssl.SSLContext.load_cert_chain`` takes."""
    value = given() if callable(given) else given
    if value is None:
        return None
    return Secret(value if isinstance(value, str) else bytes(value).decode())


def _offer(host: str, *, ms: dict[int, dict[int, PayloadType]], sendtype: TransmitType, session_id: int) -> bytes:
    """A session description of ports that somebody else listens on."""
    media = tuple(
        MediaDescription(
            kind="audio",
            port=port,
            protocol="RTP/AVP",
            formats=tuple(str(number) for number in types),
            attributes=(
                *(("rtpmap", f"{number} {each}/{each.rate}") for number, each in types.items()),
                *(("fmtp", f"{number} 0-15") for number, each in types.items() if each is PayloadType.EVENT),
                ("ptime", "20"),
                (str(sendtype), None),
            ),
        )
        for port, types in ms.items()
    )
    return SessionDescription(session_id=session_id, version=1, origin_host=host, host=host, media=media).format()
