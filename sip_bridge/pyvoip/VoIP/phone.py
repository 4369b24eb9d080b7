"""VoIPPhone: one account and its calls, for threads."""

import secrets
import threading
from dataclasses import dataclass, field
from typing import Final

from sip_bridge.phone.ports import PortAllocator
from sip_bridge.phone.settings import PortRange
from sip_bridge.pyvoip._link import run_hook
from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.networking.sock import VoIPConnection
from sip_bridge.pyvoip.networking.transport import TransportMode
from sip_bridge.pyvoip.RTP import PayloadType
from sip_bridge.pyvoip.SIP.client import SIPClient
from sip_bridge.pyvoip.SIP.message import SIPMessage
from sip_bridge.pyvoip.types import KEY_PASSWORD
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.status import PhoneStatus

__all__ = ["PhoneStatus", "VoIPPhone", "VoIPPhoneParameter", "VoIPPhoneParamter"]
_CODECS: Final = {PayloadType.PCMU: "PCMU", PayloadType.PCMA: "PCMA"}
_FIRST_DYNAMIC: Final = 101


@dataclass
class VoIPPhoneParameter:
    """What a phone is made of. Ports for RTP include both ends."""

    server: str
    port: int
    user: str
    credentials_manager: CredentialsManager | None
    bind_ip: str = "0.0.0.0"  # noqa: S104  # a door station calls from the network
    bind_port: int = 5060
    bind_network: str = "0.0.0.0/0"
    hostname: str | None = None
    remote_hostname: str | None = None
    transport_mode: TransportMode = TransportMode.UDP
    cert_file: str | None = None
    key_file: str | None = None
    key_password: KEY_PASSWORD = field(default=None, repr=False)
    rtp_port_low: int = 10000
    rtp_port_high: int = 20000
    call_class: type[VoIPCall] | None = None
    sip_class: type[SIPClient] | None = None


VoIPPhoneParamter = VoIPPhoneParameter  # as the reference's examples spell it


class VoIPPhone:
    """A phone: `start` registers it, calls come to ``call_class`` or go out by `call`, `stop` ends everything."""

    def __init__(self, voip_phone_parameter: VoIPPhoneParameter) -> None:
        given = self.voip_phone_parameter = voip_phone_parameter
        PortAllocator(PortRange(low=given.rtp_port_low, high=given.rtp_port_high))  # InvalidRangeError
        self.call_class = given.call_class or VoIPCall
        self.sip_class = given.sip_class or SIPClient
        self.calls: dict[str, VoIPCall] = {}
        self.session_ids: list[int] = []
        self.sendmode = "sendrecv"
        self.recvmode = "sendrecv"
        self._lock = threading.Lock()
        self._status = PhoneStatus.INACTIVE
        self.sip = self.sip_class(
            given.server,
            given.port,
            given.user,
            given.credentials_manager or CredentialsManager(),
            phone=self,
            bind_ip=given.bind_ip,
            bind_network=given.bind_network,
            hostname=given.hostname,
            remote_hostname=given.remote_hostname,
            bind_port=given.bind_port,
            call_callback=self.callback,
            fatal_callback=self.fatal,
            transport_mode=given.transport_mode,
            cert_file=given.cert_file,
            key_file=given.key_file,
            key_password=given.key_password,
        )

    @property
    def NSD(self) -> bool:
        """Whether it is started."""
        return self.sip.NSD

    def get_status(self) -> PhoneStatus:
        """Where the phone stands now."""
        if self._status is not PhoneStatus.REGISTERED:
            return self._status
        return PhoneStatus.REGISTERED if self.sip.is_registered else PhoneStatus.REGISTERING

    def start(self) -> None:
        """Register, and take calls from then on; what goes wrong stops the phone, and is raised."""
        self._status = PhoneStatus.REGISTERING
        try:
            self.sip.start()
        except BaseException:
            self.stop(failed=True)
            raise
        self._status = PhoneStatus.REGISTERED

    def stop(self, failed: bool = False) -> None:
        """End all calls, deregister, and end every thread; after that the status is INACTIVE, or FAILED."""
        if self._status is not PhoneStatus.FAILED:
            self._status = PhoneStatus.DEREGISTERING
        self.sip.stop()
        self._status = PhoneStatus.FAILED if failed else PhoneStatus.INACTIVE

    def fatal(self) -> None:
        """The registration is lost for good."""
        self.stop(failed=True)

    def call(self, number: str, payload_types: list[PayloadType] | None = None) -> VoIPCall:
        """Call a number or SIP URI; returns at once, in CallState.DIALING.

        RuntimeError for payload types that we can't do, NoPortsAvailableError when every RTP port is in use.
        """
        types = payload_types or [PayloadType.PCMU, PayloadType.EVENT]
        unsupported = [str(each) for each in types if each not in _CODECS and each is not PayloadType.EVENT]
        codecs = tuple(_CODECS[each] for each in types if each in _CODECS)
        if unsupported or not codecs:
            raise RuntimeError(f"unsupported payload types: {', '.join(unsupported) or 'no codec among them'}")
        request, connection = self.sip.place(number, codecs)
        return self._make_call(CallState.DIALING, request, connection, ms=_numbered(types))

    def message(self, number: str, body: str, ctype: str = "text/plain") -> bool:
        """Send a text; whether it was accepted."""
        return self.sip.send_text(number, body, ctype)

    def callback(self, conn: VoIPConnection, request: SIPMessage) -> str | None:
        """A call came: make a ``call_class`` of it, and let it ring there."""
        if request.method == "INVITE":
            run_hook(self._make_call(CallState.RINGING, request, conn), "ringing", request)
        return None

    def _make_call(
        self,
        state: CallState,
        request: SIPMessage,
        connection: VoIPConnection,
        ms: dict[int, PayloadType] | None = None,
    ) -> VoIPCall:
        session_id = secrets.randbits(31)
        call = self.call_class(
            self,
            state,
            request,
            session_id,
            self.voip_phone_parameter.bind_ip,
            conn=connection,
            ms=ms,
            sendmode=self.sendmode,
        )
        with self._lock:
            over = [call_id for call_id, each in self.calls.items() if each.state is CallState.ENDED]
            for call_id in over:
                del self.calls[call_id]
            self.calls[call.call_id] = call
        if connection.link is not None:
            connection.link.attach(call)
        return call


def _numbered(types: list[PayloadType]) -> dict[int, PayloadType]:
    """The payload types by their numbers in our offer."""
    numbers: dict[int, PayloadType] = {}
    for each in types:
        is_fixed = isinstance(each.value, int)
        numbers[int(each) if is_fixed else max([*numbers, _FIRST_DYNAMIC - 1]) + 1] = each
    return numbers
