"""Every exception that sip-bridge raises.

SipBridgeError
├── ConfigError                  the configuration: names file, line, path and what was expected
├── ProtocolError                a message on the wire
│   ├── RemoteProtocolError      the peer is at fault; ``status`` is the answer it deserves
│   │   └── SIPParseError        bytes that are no SIP message
│   └── LocalProtocolError       the caller is at fault: a value that may not go on the wire
├── InvalidStateError            the call or the phone can't do that now
├── InvalidRangeError            a port range that is none
├── NoPortsAvailableError        every RTP port is taken
├── InvalidAccountInfoError      the registrar refused the account
├── NegotiationError             no common codec or media: 488 Not Acceptable Here
├── MediaError                   a file or URL that can't be played, a recording that can't be written
│   └── DiskFullError            a recording for which there is no room
├── TransportError               a socket that can't be opened or written, a name that can't be resolved
├── NotAllowedError              policy says no
│   └── BusyError                as much as may be done at a time is being done
├── RequestRefusedError          the other side refused what we asked for; ``status`` is its answer
└── BrokerError                  the embedded MQTT broker can't start
"""


class SipBridgeError(Exception):
    """The root of the tree."""


class ConfigError(SipBridgeError):
    """The configuration is wrong; the text names file, line, path and what was expected."""


class ProtocolError(SipBridgeError):
    """A message breaks the protocol."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; ``status`` is the SIP status code to answer with."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class SIPParseError(RemoteProtocolError):
    """These bytes are no SIP message."""


class LocalProtocolError(ProtocolError):
    """A value from this side (MQTT, configuration, application) may not go on the wire."""


class InvalidStateError(SipBridgeError):
    """The call or the phone is in a state that does not allow this."""


class InvalidRangeError(SipBridgeError):
    """The port range is empty or out of bounds."""


class NoPortsAvailableError(SipBridgeError):
    """Every port of the range is in use."""


class InvalidAccountInfoError(SipBridgeError):
    """The registrar refused the account's user name or password."""


class NegotiationError(SipBridgeError):
    """The session description offers nothing that we can do: 488 Not Acceptable Here."""


class MediaError(SipBridgeError):
    """Media that can't be opened, decoded, played or recorded."""


class DiskFullError(MediaError):
    """There is no room for a recording, or for more of it."""


class TransportError(SipBridgeError):
    """A socket can't be opened or written, or a name can't be resolved."""


class NotAllowedError(SipBridgeError):
    """Policy forbids this call or number."""


class BusyError(NotAllowedError):
    """As much as may be done at a time is being done already."""


class RequestRefusedError(SipBridgeError):
    """The other side refused a request of ours, or did not answer it; ``status`` is the SIP status code."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class BrokerError(SipBridgeError):
    """The embedded MQTT broker can't start."""
