"""Phones and calls."""

from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.error import InvalidRangeError, InvalidStateError, NoPortsAvailableError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter, VoIPPhoneParamter
from sip_bridge.pyvoip.VoIP.status import PhoneStatus

__all__ = [
    "CallState",
    "InvalidRangeError",
    "InvalidStateError",
    "NoPortsAvailableError",
    "PhoneStatus",
    "VoIPCall",
    "VoIPPhone",
    "VoIPPhoneParameter",
    "VoIPPhoneParamter",
]
