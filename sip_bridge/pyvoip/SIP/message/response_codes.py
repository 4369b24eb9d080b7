"""Status codes."""

from sip_bridge.sip.status import SIPStatus

__all__ = ["ResponseCode", "SIPStatus"]

ResponseCode = SIPStatus
