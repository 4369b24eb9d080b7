"""What a phone and its calls raise."""

from sip_bridge.errors import InvalidRangeError, InvalidStateError, NoPortsAvailableError

__all__ = ["InvalidRangeError", "InvalidStateError", "NoPortsAvailableError"]
