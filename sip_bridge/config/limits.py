"""`sip: limits:`: how much a SIP message may hold."""

from typing import Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.sip.limits import Limits

# The least lets every usual message in; the most is what one datagram or connection may cost.
LIMITS: Final = valid.section(
    Limits,
    {
        vol.Optional("message"): valid.integer(4096, 1 << 20),
        vol.Optional("head"): valid.integer(2048, 65536),
        vol.Optional("line"): valid.integer(1024, 65536),
        vol.Optional("headers"): valid.integer(32, 1024),
        vol.Optional("uri"): valid.integer(256, 65536),
        vol.Optional("vias"): valid.integer(10, 255),
        vol.Optional("parts"): valid.integer(2, 100),
        vol.Optional("depth"): valid.integer(1, 10),
    },
)
