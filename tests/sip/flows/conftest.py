"""Alice, who has an account and a proxy, and Bob, whose phone is reached by its address or through his proxy."""

import pytest

from sip_bridge.sip.flow import Hop
from sip_bridge.sip.line import RegisteredLine
from sip_bridge.sip.uri import SIPURI
from tests.scenario import Wire
from tests.sip.flows.elements import User
from tests.sip.flows.people import PROXY1, SECRET


@pytest.fixture
def alice(wire: Wire) -> User:
    """Her account is at atlanta.example.com, her outbound proxy Proxy 1, and biloxi.example.com knows her too."""
    user = User(wire, "192.0.2.101")
    user.endpoint.add_line(
        RegisteredLine(
            id="alice",
            user="alice",
            display_name="Alice",
            domain="atlanta.example.com",
            registrar=Hop(host="atlanta.example.com"),
            credentials=SECRET,
            realm="atlanta.example.com",
            realms=(("biloxi.example.com", SECRET),),
            outbound_proxy=SIPURI(host=PROXY1, params=(("lr", None),)),
        )
    )
    user.add_direct_line("direct")
    return user


@pytest.fixture
def bob(wire: Wire) -> User:
    user = User(wire, "192.0.2.201")
    user.add_direct_line("bob")
    return user
