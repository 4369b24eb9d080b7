"""Writes the generated parts of docs/sip.md: run it by script/diagrams."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.timers import RFC3261, TABLE, Row, Span, Timer
from sip_bridge.sip.transactions.client import NonInviteClient
from sip_bridge.sip.transactions.invite_client import InviteClient
from sip_bridge.sip.transactions.invite_server import InviteServer
from sip_bridge.sip.transactions.machine import Machine, Trigger
from sip_bridge.sip.transactions.server import NonInviteServer

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "sip.md"

# Reading order. Every module of sip_bridge/sip and of the transports stands in one of these groups.
GROUPS: Final[dict[str, str]] = {
    "The door, and who handles what": (
        "sip/endpoint sip/core sip/dispatcher sip/events sip/policy sip/allowance sip/capabilities sip/schedule"
    ),
    "Messages": (
        "sip/message sip/parser sip/headers sip/fields sip/routing_keys sip/uri sip/multipart sip/limits sip/status"
        " sip/redaction sip/responses sip/reason sip/caller"
    ),
    "Transactions": (
        "sip/transactions/invite_client sip/transactions/client sip/transactions/invite_server sip/transactions/server"
        " sip/transactions/machine sip/transactions/layer sip/timers"
    ),
    "Requests of ours, and their way": (
        "sip/client_request sip/plans sip/route sip/flow sip/failover sip/target sip/public_address"
    ),
    "Calls": (
        "sip/calls sip/usage sip/session sip/incoming sip/outgoing sip/dialog sip/acknowledgement sip/success"
        " sip/reliable sip/modification sip/session_timer sip/redirection sip/info sip/transfer sip/referral"
        " sip/replaces sip/sipfrag"
    ),
    "Registration and digest": (
        "sip/line sip/lines sip/registration sip/binding sip/keep_alive sip/auth sip/digest sip/challenger sip/nonces"
    ),
    "Texts, questions, subscriptions": (
        "sip/instant_message sip/options sip/subscriber sip/subscription sip/event_dialog"
        " sip/event_package sip/packages"
        " sip/message_waiting sip/notifier sip/watcher sip/call_states sip/dialog_info"
    ),
    "Transports and names": (
        "sip/stream phone/transport phone/transport/udp phone/transport/connections phone/transport/connection"
        " phone/transport/listener phone/transport/tls phone/transport/sockets phone/transport/routes"
        " phone/transport/network"
        " phone/transport/addresses phone/resolver phone/names phone/client"
    ),
}  # fmt: skip

# The RFCs that the code names, and how far each goes.
RFCS: Final[dict[int, tuple[str, str]]] = {
    1123: ("Host names", "what the configuration takes for one"),
    2046: ("MIME multipart", "finds the session description; nesting bounded"),
    2047: ("Encoded words in headers", "read in display names"),
    2069: ("The first digest", "answered where a server offers no qop"),
    2308: ("Negative caching of DNS", "names that don't exist are remembered, bounded"),
    2543: ("SIP, first edition", "peers without magic cookie, tags or loose routing are understood"),
    2782: ("DNS SRV", "priority and weight"),
    3261: ("SIP", "user agent, client and server; no proxy, redirect server or registrar"),
    3262: ("PRACK (100rel)", "both sides; asked for by us only with early media"),
    3263: ("Locating SIP servers", "NAPTR, SRV, A, AAAA, failover"),
    3264: ("Offer and answer", "audio; hold by direction"),
    3311: ("UPDATE", "both sides, early and confirmed"),
    3323: ("Privacy", "read: a caller who wants to be anonymous is"),
    3325: ("P-Asserted-Identity", "read from trusted servers only"),
    3326: (
        "Reason",
        "Q.850 and SIP causes read; sent in every BYE, and to phones that lost to another one",
    ),
    3327: ("Path", "offered and kept"),
    3389: ("Comfort noise", "heard, never sent; its spectrum is not used"),
    3398: ("Q.850 causes as statuses", "both ways"),
    3403: ("DNS NAPTR", "as RFC 3263 needs it"),
    3420: ("message/sipfrag", "status lines"),
    3428: ("MESSAGE", "both sides, pager mode, rate bounded"),
    3458: ("Message contexts", "voice messages are counted"),
    3515: ("REFER", "within a call, both sides"),
    3550: ("RTP and RTCP", "see sip_bridge/media"),
    3551: ("RTP audio profile", "see sip_bridge/media"),
    3581: ("rport", "asked for, answered, and our public address learned from it"),
    3605: ("RTCP port in SDP", "see sip_bridge/media"),
    3608: ("Service-Route", "followed"),
    3711: ("SRTP", "with libsrtp, see sip_bridge/media"),
    3842: ("Message waiting", "subscribed and unasked"),
    3891: ("Replaces", "both sides"),
    3959: ("Early session disposition", "such a part is not taken for the session's"),
    3966: ("tel URIs", "read; local numbers as the line's"),
    4007: ("IPv6 zones", "link-local peers"),
    4028: ("Session timers", "both refreshers, by UPDATE or re-INVITE"),
    4235: ("Dialog state", "notifier and watcher"),
    4458: ("Voicemail URIs", "cause and target read"),
    4475: ("Torture messages", "all verdicts held by tests"),
    4488: ("norefersub", "understood on both sides"),
    4568: ("SDES keys in SDP", "four suites, see sip_bridge/media"),
    4733: ("Telephone events", "see sip_bridge/media"),
    5057: ("Several usages in a dialog", "which responses end what"),
    5118: ("IPv6 torture messages", "all verdicts held by tests"),
    5373: ("Answer-Mode", "read"),
    5407: ("Races in calls", "the glare and crossing cases"),
    5589: ("Call transfer", "blind and attended"),
    5621: ("Bodies", "handling and disposition"),
    5626: ("Outbound", "keep-alives; no reg-id, no flow tokens"),
    5630: ("sips", "Contact is sips where the call is; TLS on every hop of ours"),
    5761: ("RTP and RTCP on one port", "see sip_bridge/media"),
    5806: ("Diversion", "read"),
    5922: ("Domain certificates", "SAN URI and DNS names, no wildcards"),
    5923: ("Connection reuse", "connections of ours are used again both ways"),
    6026: ("2xx and the INVITE transactions", "Accepted states, timers L and M"),
    6086: ("INFO", "legacy usage: key presses"),
    6432: ("Q.850 in responses", "read"),
    6665: ("Events", "subscriber and notifier"),
    6716: ("Opus", "with the extra audio"),
    6724: ("Order of addresses", "the system's"),
    6762: ("Multicast DNS", "names in .local, by the system"),
    7044: ("History-Info", "read"),
    7462: ("Alert-Info URNs", "read"),
    7587: ("Opus over RTP", "with the extra audio, mono"),
    7616: ("Digest", "MD5, SHA-256, SHA-512-256, -sess, auth, auth-int; no userhash"),
    7714: ("AES-GCM in SRTP", "with libsrtp, see sip_bridge/media"),
    8760: ("Digest algorithms in SIP", "strongest first, several challenges"),
    8767: ("Stale DNS answers", "used while servers don't answer"),
    8866: ("SDP", "see sip_bridge/media"),
}

FIGURES: Final[tuple[tuple[type[Machine], str, str, str], ...]] = (
    (InviteClient, "Calling", "An INVITE of ours", "(RFC 3261 figure 5, RFC 6026 §7.2)"),
    (NonInviteClient, "Trying", "Another request of ours", "(RFC 3261 figure 6)"),
    (InviteServer, "Proceeding", "An INVITE to us", "(RFC 3261 figure 7, RFC 6026 §7.1)"),
    (NonInviteServer, "Trying", "Another request to us", "(RFC 3261 figure 8)"),
)
_RFC: Final = re.compile(r"RFC (?P<rfc>\d{4})(?P<own>'s)?(?: and (?P<other>\d{4}))?|§(?P<section>[A-Z]?\d+(?:\.\d+)*)")
_BOUND: Final = re.compile(r"^(MAX_[A-Z_]+): Final = (.+?)(?:  # (.+))?$", re.MULTILINE)
_LIMIT: Final = re.compile(r"^    (\w+): int = (\d+)  # (.+)$", re.MULTILINE)
References = dict[int, set[tuple[int, ...]]]


def modules() -> dict[str, Path]:
    """Every module that the page is about, by name: ``sip/endpoint``."""
    package = ROOT / "sip_bridge"
    paths = [*package.glob("sip/**/*.py"), *package.glob("phone/transport/*.py")]
    paths += [package / "phone" / f"{name}.py" for name in ("client", "names", "resolver")]
    named = {str(path.relative_to(package).with_suffix("")).removesuffix("/__init__"): path for path in paths}
    return {name: path for name, path in named.items() if name not in ("sip", "sip/transactions")}


def comments(path: Path) -> Iterator[str]:
    """Every docstring and comment of a module."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(io.BytesIO(file.read()).readline):
            if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
                yield token.string


def references(path: Path) -> References:
    """The RFCs that a module names, and their sections.

    A section without RFC is of the one that the same comment named last, or of the first that the module names.
    """
    found: References = {}
    for text in comments(path):
        rfc = next(iter(found), 3261)
        for match in _RFC.finditer(text):
            if match["section"] is not None:
                if match["section"][0].isdigit():
                    found.setdefault(rfc, set()).add(tuple(map(int, match["section"].split("."))))
                continue
            found.setdefault(int(match["rfc"]), set())
            if match["own"] is None:  # not "RFC 2543's rules (§17.2.3)"
                rfc = int(match["rfc"])
            if match["other"] is not None:
                found.setdefault(int(match["other"]), set())
    return found


def modules_part() -> str:
    """A table for each group."""
    known = modules()
    grouped = {group: names.split() for group, names in GROUPS.items()}
    listed = [name for names in grouped.values() for name in names]
    if sorted(listed) != sorted(known):
        sys.exit(f"script/diagrams.py: GROUPS and the modules differ: {sorted(set(listed) ^ set(known))}")
    lines = []
    for group, names in grouped.items():
        lines += [f"### {group}", "", "| module | what it does | RFC |", "|---|---|---|"]
        lines += [_module_row(name, known[name]) for name in names]
        lines.append("")
    return "\n".join(lines)


def _module_row(name: str, path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    purpose = " ".join(docstring.partition("\n\n")[0].split()).replace("|", "\\|")
    cited = "; ".join(_citation(rfc, sections) for rfc, sections in sorted(references(path).items()))
    return f"| [`{name}`](../{path.relative_to(ROOT)}) | {purpose} | {cited} |"


def _citation(rfc: int, sections: set[tuple[int, ...]]) -> str:
    places = ", ".join("§" + ".".join(map(str, section)) for section in sorted(sections))
    return f"{rfc} {places}".rstrip()


def rfcs_part() -> str:
    """Which RFCs the code names, and where."""
    where: dict[int, list[str]] = {}
    for path in sorted((ROOT / "sip_bridge").glob("**/*.py")):
        for rfc in references(path) if path.parts[-2] != "mqtt" else ():
            where.setdefault(rfc, []).append(path.stem if path.stem != "__init__" else path.parent.name)
    unknown = sorted(set(where) ^ set(RFCS))
    if unknown:
        sys.exit(f"script/diagrams.py: RFCS and the code differ: {unknown}")
    rows = [f"| [{rfc}](https://www.rfc-editor.org/rfc/rfc{rfc}) | {' | '.join(RFCS[rfc])} |" for rfc in sorted(where)]
    return "\n".join(["| RFC | about | how far |", "|---|---|---|", *rows, ""])


def figures_part() -> str:
    """A state diagram for each machine."""
    return "\n".join(_figure(*figure) for figure in FIGURES)


def _figure(machine: type[Machine], first: str, title: str, source: str) -> str:
    is_server = machine in (InviteServer, NonInviteServer)
    request = "INVITE" if machine in (InviteClient, InviteServer) else "request"
    lines = [f"### {title} {source}", "", "```mermaid", "stateDiagram-v2", "    direction TB"]
    lines.append(f"    [*] --> {first}: {request} {'received' if is_server else '/ send request'}")
    for (state, event), step in machine.table.items():
        label = _event(event, request, is_server=is_server)
        actions = f" / {', '.join(step.actions)}" if step.actions else ""
        lines.append(f"    {state} --> {step.state}: {label}{actions}")
    return "\n".join([*lines, "    Terminated --> [*]", "```", ""])


def _event(event: Trigger | Timer, request: str, *, is_server: bool) -> str:
    if event is Trigger.REQUEST:
        return f"{request} again"
    is_status = event in {Trigger.of(SIPStatus(code)) for code in (100, 200, 300)}
    return f"{event} from the user" if is_server and is_status else str(event)


def timers_part() -> str:
    """The one table of timers."""
    lines = ["| timer | UDP | TCP and TLS | what it does |", "|---|---|---|---|"]
    lines += [_timer_row(timer, row) for timer, row in TABLE.items()]
    return "\n".join([*lines, ""])


def _timer_row(timer: Timer, row: Row) -> str:
    return f"| {timer.removeprefix('timer ')} | {_span(row.udp)} | {_span(row.stream)} | {row.purpose} |"


def _span(span: Span) -> str:
    if span in (Span.ZERO, Span.NEVER, Span.TRYING):
        return str(span)
    return f"{span} ({RFC3261.seconds(span):g} s)"


def limits_part() -> str:
    """Every bound that has a name."""
    lines = ["| limit | value | of what | where |", "|---|---|---|---|"]
    limits = (ROOT / "sip_bridge" / "sip" / "limits.py").read_text()
    lines += [f"| `Limits.{name}` | {value} | {what} | `sip/limits` |" for name, value, what in _LIMIT.findall(limits)]
    for name, path in sorted(modules().items()):
        for bound, value, what in _BOUND.findall(path.read_text()):
            lines.append(f"| `{bound}` | {value} | {what} | `{name}` |".replace("|  |", "| |"))
    return "\n".join([*lines, ""])


PARTS: Final = {
    "modules": modules_part,
    "figures": figures_part,
    "timers": timers_part,
    "rfcs": rfcs_part,
    "limits": limits_part,
}


def generated(page: str) -> str:
    """The page with its generated parts as the code has them now."""
    for name, part in PARTS.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        head, _, rest = page.partition(begin)
        tail = rest.partition(end)[2]
        page = f"{head}{begin}\n{part()}\n{end}{tail}"
    return page


def main(arguments: list[str]) -> None:
    """Write the page, or with --check compare it."""
    page = PAGE.read_text()
    new = generated(page)
    if arguments == ["--check"]:
        if page != new:
            sys.exit("docs/sip.md is behind the code: run script/diagrams")
    elif not arguments:
        PAGE.write_text(new)
    else:
        sys.exit("usage: script/diagrams [--check]")


if __name__ == "__main__":
    main(sys.argv[1:])
