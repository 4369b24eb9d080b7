"""SIPMessage and what it is made of; the submodules have further names for the same things."""

from sip_bridge.pyvoip.SIP.error import SIPParseError
from sip_bridge.pyvoip.SIP.message.message import (
    SIPMessage,
    SIPMessageType,
    SIPMethod,
    SIPRequest,
    SIPResponse,
)
from sip_bridge.pyvoip.SIP.message.response_codes import ResponseCode, SIPStatus

__all__ = [
    "ResponseCode",
    "SIPMessage",
    "SIPMessageType",
    "SIPMethod",
    "SIPParseError",
    "SIPRequest",
    "SIPResponse",
    "SIPStatus",
]
