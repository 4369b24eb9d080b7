"""SIP messages as a ladder: the bridge on the left, a line for each peer, an arrow for each message."""

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from sip_bridge.errors import SIPParseError
from sip_bridge.mqtt.contract import ContractError, Origin, TracedMessage, decode
from sip_bridge.sip.message import SIPMessage

_COLUMN: Final = 36  # characters from one line to the next
_PALETTE: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One message: when, between whom, and what; ``call_id`` tells calls apart."""

    at: datetime
    traced: TracedMessage
    label: str
    call_id: str

    @property
    def is_ours(self) -> bool:
        """Whether the bridge sent it."""
        return self.traced.origin is Origin.LOCAL

    @property
    def peer(self) -> str:
        """Who is at the other end."""
        return f"{self.traced.remote} {self.traced.transport}"


def arrow_of(payload: str, ts: str) -> Arrow | None:
    """A payload of ``B/trace``, published at ``ts``; None when it is none."""
    try:
        traced = decode(TracedMessage, payload)
        at = datetime.fromisoformat(ts).astimezone()
    except (ContractError, ValueError):
        return None
    label, call_id = _read(traced.message)
    return Arrow(at=at, traced=traced, label=label, call_id=call_id)


def _read(text: str) -> tuple[str, str]:
    """What an arrow says, and the call that it belongs to; of a damaged message, its first line."""
    try:
        message = SIPMessage(text.encode())
        call_id = message.call_id
    except SIPParseError:
        return text.partition("\r\n")[0], ""
    label = str(message.method) if message.is_request else message.heading.partition(" ")[2]
    return (f"{label} (SDP)" if message.session_description else label), call_id


class Ladder:
    """Drawn as it comes: a peer that is new gets a line, and then the head is drawn again."""

    def __init__(self) -> None:
        self._peers: list[str] = []

    def lines(self, arrow: Arrow) -> list[str]:
        """What a message adds to the drawing."""
        head = []
        if arrow.peer not in self._peers:
            self._peers.append(arrow.peer)
            head = ["", " " * 14 + "bridge".ljust(_COLUMN) + "".join(peer.ljust(_COLUMN) for peer in self._peers)]
        reach = _COLUMN * (self._peers.index(arrow.peer) + 1) - 1
        label = f" {arrow.label} "[: reach - 4]
        shaft = label.center(reach - 2, "─")
        drawn = f"{shaft}─▶" if arrow.is_ours else f"◀─{shaft}"
        rest = "".join("│".ljust(_COLUMN) for _ in self._peers[self._peers.index(arrow.peer) + 1 :]).rstrip()
        tail = " " * (_COLUMN - 1) + rest if rest else ""
        return [*head, f"{arrow.at:%H:%M:%S.%f}"[:12] + f"  │{drawn}│{tail}"]


def svg(arrows: list[Arrow]) -> str:
    """The whole ladder as a picture; each call has a colour."""
    peers = list(dict.fromkeys(arrow.peer for arrow in arrows))
    calls = list(dict.fromkeys(arrow.call_id for arrow in arrows))
    left, apart, top, step = 160, 300, 60, 34
    x = {peer: left + apart * (index + 1) for index, peer in enumerate(peers)}
    width, height = left + apart * len(peers) + 160, top + step * (len(arrows) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for name, at in (("bridge", left), *x.items()):
        parts.append(f'<text x="{at}" y="28" text-anchor="middle" font-weight="bold">{escape(name)}</text>')
        parts.append(f'<line x1="{at}" y1="40" x2="{at}" y2="{height}" stroke="#999"/>')
    for index, arrow in enumerate(arrows):
        y, end = top + step * (index + 1), x[arrow.peer]
        colour = _PALETTE[calls.index(arrow.call_id) % len(_PALETTE)]
        begin, tip = (left, end) if arrow.is_ours else (end, left)
        side = -8 if arrow.is_ours else 8
        parts += [
            f'<text x="8" y="{y + 4}" fill="#666">{arrow.at:%H:%M:%S.}{arrow.at.microsecond // 1000:03}</text>',
            f'<text x="{(left + end) / 2:.0f}" y="{y - 5}" text-anchor="middle">{escape(arrow.label)}</text>',
            f'<line x1="{begin}" y1="{y}" x2="{tip}" y2="{y}" stroke="{colour}" stroke-width="1.5"/>',
            f'<path d="M{tip} {y} l{side} -4 v8 z" fill="{colour}"/>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
