"""What this user agent can do, in the words of Allow, Accept, Supported and Allow-Events."""

from typing import Final

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import is_token
from sip_bridge.sip.message import SIPMessage

ALLOW: Final = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK, REFER, SUBSCRIBE, NOTIFY, MESSAGE"
ACCEPT: Final = "application/sdp"
ALLOW_EVENTS: Final = "dialog, message-summary, refer"
SUPPORTED: Final = "100rel, norefersub, replaces, timer"
ALLOW_AND_SUPPORTED: Final = (("Allow", ALLOW), ("Supported", SUPPORTED))
EXTENSIONS: Final = frozenset(SUPPORTED.split(", "))  # option tags, in lower case

# The answer to OPTIONS, in a dialog and outside (RFC 3261 §11.2).
CAPABILITIES: Final = (
    *ALLOW_AND_SUPPORTED,
    ("Allow-Events", ALLOW_EVENTS),
    ("Accept", f"{ACCEPT}, text/plain"),
    ("Accept-Encoding", "identity"),
    ("Accept-Language", "en"),
)

# Methods that only make sense in a dialog; outside one they get 481.
IN_DIALOG_METHODS: Final = frozenset({"BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"})


def unsupported_extensions(request: SIPMessage) -> str:
    """The value of Unsupported: what Require holds that is none of EXTENSIONS (RFC 3261 §8.2.2.3)."""
    required = request.items("require")
    if not all(is_token(option) for option in required):
        raise RemoteProtocolError("Require holds more than option tags")
    return ", ".join(option for option in required if option.lower() not in EXTENSIONS)
