"""SIP: messages, errors and the client."""

from sip_bridge.pyvoip.SIP.error import InvalidAccountInfoError, SIPParseError
from sip_bridge.pyvoip.SIP.message import SIPMessage, SIPMessageType, SIPStatus

__all__ = ["InvalidAccountInfoError", "SIPMessage", "SIPMessageType", "SIPParseError", "SIPStatus"]
