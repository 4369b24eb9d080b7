"""Accounts as the core sees them."""

from sip_bridge.phone.settings import Account, DirectAccount, RegisteredAccount
from sip_bridge.phone.transport.addresses import without_interface
from sip_bridge.sip.digest import Credentials
from sip_bridge.sip.flow import Hop
from sip_bridge.sip.line import DirectLine, Line, RegisteredLine
from sip_bridge.sip.uri import SIPURI, parse_host_port


def line_of(account: Account) -> Line:
    """The core's view of an account."""
    match account:
        case DirectAccount():
            return DirectLine(
                id=account.id,
                user=account.user,
                display_name=account.name,
                aliases=account.aliases,
                transport=None if account.transport == "udp" else account.transport.upper(),
                allow_from=account.allow_from,
                credentials=_callers(account),
                algorithms=account.algorithms,
            )
        case RegisteredAccount():
            return RegisteredLine(
                id=account.id,
                user=account.user,
                display_name=account.name,
                domain=without_interface(account.server),
                registrar=Hop(host=account.server, port=account.port, transport=account.transport.upper()),
                credentials=Credentials(username=account.auth_user or account.user, password=str(account.password)),
                realm=account.realm,
                realms=tuple(
                    (each.realm, Credentials(username=each.username, password=str(each.password)))
                    for each in account.credentials
                ),
                min_algorithm=account.min_algorithm,
                expires=account.expires,
                keep_alive=account.keep_alive,
                outbound_proxy=_proxy_of(account),
                message_waiting=account.message_waiting,
            )


def _callers(account: DirectAccount) -> Credentials | None:
    """What callers of a direct line have to know."""
    if account.password is None:
        return None
    return Credentials(username=account.username or account.user, password=str(account.password))


def _proxy_of(account: RegisteredAccount) -> SIPURI | None:
    """``host[:port]`` as a route over the account's transport, without which UDP would be meant."""
    if account.outbound_proxy is None:
        return None
    is_ipv6 = account.outbound_proxy.count(":") > 1 and "[" not in account.outbound_proxy
    host, port = parse_host_port(f"[{account.outbound_proxy}]" if is_ipv6 else account.outbound_proxy)
    transport = () if account.transport == "udp" else (("transport", account.transport),)
    return SIPURI(host=host, port=port, params=(*transport, ("lr", None)))
