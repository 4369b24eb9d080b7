"""`sip:`: where SIP and RTP listen."""

import re
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.limits import LIMITS
from sip_bridge.config.tls import TLS
from sip_bridge.config.yaml_file import Value
from sip_bridge.phone.settings import PortRange, SIPSettings

_RANGE: Final = re.compile(r"(\d{1,5})\s*-\s*(\d{1,5})")

_BIND: Final = valid.matching(valid.is_ip, "an IP address, like 0.0.0.0 for every network")
_BIND_SEVERAL: Final = valid.list_of(_BIND, at_least=1)


def _bind(value: Value) -> tuple[str, ...]:
    """One address, or several that differ."""
    hosts: tuple[str, ...] = _BIND_SEVERAL(value) if isinstance(value, list) else (_BIND(value),)
    if len(set(hosts)) < len(hosts):
        raise valid.Unexpected("expected addresses that differ")
    return hosts


_PORT_RANGE: Final = valid.section(
    PortRange,
    {valid.required("low", "the first port"): valid.port, valid.required("high", "the last port"): valid.port},
)


def _port_range(value: Value) -> PortRange:
    if isinstance(value, dict):
        ports: PortRange = _PORT_RANGE(value)
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)) is not None:
        ports = PortRange(low=int(match[1]), high=int(match[2]))
    else:
        raise valid.Unexpected("expected a range of ports like 10000-10999")
    if not 0 < ports.low < ports.high < 65536:
        raise valid.Unexpected("expected a range of ports like 10000-10999, the lower one first")
    return ports


def _sip(**values: Any) -> SIPSettings:
    sip = SIPSettings(**values)
    if sip.tls.certificate is not None and sip.tls_port == sip.port != 0:
        raise vol.Invalid("expected another port than sip.port: TCP listens there", path=["tls_port"])
    return sip


SIP: Final = valid.section(
    _sip,
    {
        vol.Optional("bind"): _bind,
        vol.Optional("port"): valid.integer(0, 65535),
        vol.Optional("tls_port"): valid.integer(0, 65535),
        vol.Optional("tls"): TLS,
        vol.Optional("advertised_host"): valid.host_name,
        vol.Optional("rtp_ports"): _port_range,
        vol.Optional("limits"): LIMITS,
    },
)
