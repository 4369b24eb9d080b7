"""What a person sets about the phones: frozen values, read from the configuration and passed in."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, Literal

from sip_bridge.media.codec import default_codecs
from sip_bridge.media.sdes import SRTPPolicy
from sip_bridge.media.tones import DEFAULT_COUNTRY
from sip_bridge.sip.limits import LIMITS, Limits

Network = IPv4Network | IPv6Network

# Who may ring a direct line unless it says otherwise: this machine, and private, link-local and unique-local networks.
PRIVATE_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


# A call that somebody forgot to hang up, or that a vanished peer left behind, ends at last. 4 hours, in seconds.
MAX_DURATION: Final = 4 * 3600
MEDIA_TIMEOUT: Final = 30
RING_TIMEOUT: Final = 180.0  # seconds: a caller that vanished without CANCEL doesn't ring for ever
MediaLostAction = Literal["hangup", "keep"]
KeyMethod = Literal["auto", "rtp", "info", "inband"]  # auto: the best that the other party takes


class Secret(str):
    """A string that no log or traceback shows: its repr is ``***``. Formatting it with ``str()`` still reveals it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """UDP ports for RTP, both ends included."""

    low: int = 10000
    high: int = 10999


ACCEPT_PROMPT: Final = "tone:call_waiting"
ACCEPT_TIME: Final = 15.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Who answers has the call only by pressing ``key`` within ``seconds``; until then the ``prompt`` is repeated.

    A mailbox answers too, and so does a network that says that somebody is away, but neither presses a key.
    """

    key: str
    seconds: float = ACCEPT_TIME
    prompt: str = field(default=ACCEPT_PROMPT, repr=False)  # a URL may hold a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A name in an account's phone book: of one number, or of several that ring at once."""

    name: str
    number: str
    also: tuple[str, ...] = ()
    acceptance: Acceptance | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """All that ring."""
        return (self.number, *self.also)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmCredentials:
    """A user name and password for one realm, such as a proxy's that is not the registrar's."""

    realm: str
    username: str
    password: Secret = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFCode:
    """A code that callers may enter by keys, and what automations know it by."""

    name: str
    digits: Secret = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DTMFSettings:
    """What becomes of the keys that the other party presses.

    They are collected to a sequence until the ``terminator`` (None: there is none), until there are ``max_digits``, or
    until ``pause`` seconds without one. ``mask`` hides digits from MQTT; None does so once there are ``codes``.
    ``inband`` listens for tones, too, which costs time and may take other sound for a key. ``method`` is how keys of
    ours are pressed where nobody says.
    """

    terminator: str | None = "#"
    max_digits: int = 16
    pause: float = 3.0
    mask: bool | None = None
    inband: bool = False
    codes: tuple[DTMFCode, ...] = ()
    method: KeyMethod = "auto"

    @property
    def is_masked(self) -> bool:
        """Whether nobody but us may see digits."""
        return bool(self.codes) if self.mask is None else self.mask


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """How the door is opened: the ``code``'s keys, pressed in a call with the door station.

    A ringing call is answered for that, if it may be (``answer``), and hung up afterwards; ``hang_up`` True hangs up a
    call that was talked already, too, and False not even the one that was only answered. ``number`` is whom to call
    when there is no call; None: then the door can't be opened.
    """

    code: Secret = field(repr=False)
    method: KeyMethod = "auto"
    duration_ms: int = 160
    gap_ms: int = 80
    number: str | None = None
    answer: bool = True
    hang_up: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSettings:
    """Phones that ring, for ``timeout`` seconds, when somebody calls a line: numbers and names of another ``account``
    (None: of its own). Who presses ``door_key`` on the one that has answered opens the door.
    """

    numbers: tuple[str, ...]
    account: str | None = None
    timeout: float = 60.0
    acceptance: Acceptance | None = None
    door_key: str | None = None


RecordPolicy = Literal["never", "on_request", "answered"]  # answered: every call, from then on


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSettings:
    """Where recordings go, and how much of them: ``max_seconds`` of each, ``max_size`` bytes of all together.

    The oldest are deleted for that, and those of more than ``keep_days`` (None: none for its age). None is made, and
    none goes on, while fewer than ``min_free`` bytes of the disk are free.
    """

    folder: Path
    max_seconds: int = 2 * 3600
    max_size: int = 1 << 30
    min_free: int = 100 << 20
    keep_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """What may be played: files in ``folders`` (None: all that the bridge can read), and the tones of a ``country``."""

    folders: tuple[Path, ...] | None = None
    country: str = DEFAULT_COUNTRY


MEDIA: Final = MediaSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFrom:
    """Patterns of callers (see `screening`): whom ``block`` names may not ring, nor whom ``allow`` leaves out."""

    allow: tuple[str, ...] = ("*",)
    block: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAnswer:
    """Which calls are answered without a person, ``after`` so many seconds of ringing.

    ``callers`` are patterns; None: on a direct line whoever gave its password or calls from a private network, on a
    registered line its contacts. ``on_request``: only who asks for it, and then when the caller says. ``play`` is heard
    from ``settle_ms`` after the answer on; ``auto_hangup`` ends the call after that.
    """

    enabled: bool = False
    callers: tuple[str, ...] | None = None
    after: float = 0.0
    on_request: bool = False
    play: Secret | None = field(default=None, repr=False)  # it may hold a token
    settle_ms: int = 500
    auto_hangup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectWith:
    """What refused callers are told: by `reject`, while nobody wants to be disturbed, and if `CallFrom` refuses them.

    RFC 3261 §21.4.18 has 480 for "do not disturb"; a 603 ends the ringing of every other phone, too.
    """

    reject: int = 486
    do_not_disturb: int = 480
    blocked: int = 603


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnyAccount:
    """What every account has."""

    id: str
    name: str
    user: str
    transport: str = "udp"
    allow_dial: tuple[str, ...] = ("*",)
    block_dial: tuple[str, ...] = ()
    call_from: CallFrom = CallFrom()
    do_not_disturb: bool = False
    auto_answer: AutoAnswer = AutoAnswer()
    ring_timeout: float = RING_TIMEOUT  # seconds that an incoming call rings
    reject_with: RejectWith = RejectWith()
    output_volume: float = 1.0  # 0.0 to 2.0, of what we send
    accept_transfers: bool = False  # whether the other party of a call may have us call somebody else
    max_duration: float = MAX_DURATION  # seconds from the answer on
    media_timeout: float = MEDIA_TIMEOUT  # seconds without a packet after which the sound is lost; 0: never
    media_lost: MediaLostAction = "hangup"
    contacts: tuple[Contact, ...] = ()
    codecs: tuple[str, ...] = field(default_factory=default_codecs)  # by preference
    srtp: SRTPPolicy = SRTPPolicy.OFF
    dtmf: DTMFSettings = DTMFSettings()
    door: DoorSettings | None = None  # None: there is no code
    ring: RingSettings | None = None
    record: RecordPolicy = "on_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAccount(_AnyAccount):
    """A line that is called by address, without a PBX: ``sip:<user>@<this host>``, an alias, or no user at all.

    ``transport`` is what it calls over where a SIP URI does not say.
    """

    aliases: tuple[str, ...] = ()
    username: str | None = None  # of callers; None: the account's user
    password: Secret | None = field(default=None, repr=False)  # that callers have to know; None: nobody is asked
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")  # the preferred one first; an old device may know MD5 only
    allow_from: tuple[Network, ...] = PRIVATE_NETWORKS


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredAccount(_AnyAccount):
    """A line at a registrar: a FRITZ!Box, a PBX or a trunk; ``expires`` in seconds is what we ask for.

    ``message_waiting``: True subscribes to the mailbox, None hears what the PBX tells unasked, False not even that.
    """

    server: str
    port: int | None = None
    auth_user: str | None = None
    password: Secret = field(default=Secret(""), repr=False)
    realm: str | None = None
    credentials: tuple[RealmCredentials, ...] = ()
    min_algorithm: str = "MD5"
    expires: int = 300
    keep_alive: int | None = None  # seconds; None: as a NAT or a connection needs it; 0: never
    outbound_proxy: str | None = None
    message_waiting: bool | None = None


Account = DirectAccount | RegisteredAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """What of an account may be set while it runs."""

    do_not_disturb: bool = False
    auto_answer: bool = False
    output_volume: float = 1.0
    ring_timeout: float = RING_TIMEOUT
    dtmf_method: KeyMethod = "auto"

    @classmethod
    def of(cls, account: Account) -> "LineSettings":
        """As the configuration has them."""
        return cls(
            do_not_disturb=account.do_not_disturb,
            auto_answer=account.auto_answer.enabled,
            output_volume=account.output_volume,
            ring_timeout=account.ring_timeout,
            dtmf_method=account.dtmf.method,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSSettings:
    """Files in PEM. ``certificate`` (with its chain) is what we show to peers that connect, and to servers too unless
    there is a ``client_certificate``; a key may stand in the file of its certificate. ``ca`` is trusted beside the
    system's authorities.
    """

    certificate: Path | None = None
    key: Path | None = None
    key_password: Secret | None = field(default=None, repr=False)
    ca: Path | None = None
    verify: bool = True
    client_certificate: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SIPSettings:
    """Where SIP and RTP listen; a port of 0 lets the kernel choose, ``advertised_host`` is what peers are told.

    UDP and TCP listen on ``port``, TLS on ``tls_port`` if there is a certificate.
    """

    bind: str | tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104  # a door station calls from the network
    port: int = 5060
    tls_port: int = 5061
    tls: TLSSettings = TLSSettings()
    advertised_host: str | None = None
    rtp_ports: PortRange = PortRange()
    limits: Limits = LIMITS

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to bind."""
        return (self.bind,) if isinstance(self.bind, str) else self.bind
