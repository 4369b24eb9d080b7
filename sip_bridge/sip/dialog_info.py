"""The state of somebody's calls: the body ``application/dialog-info+xml`` (RFC 4235 §4)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from sip_bridge.errors import RemoteProtocolError

PACKAGE: Final = "dialog"
CONTENT_TYPE: Final = "application/dialog-info+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:dialog-info"
MAX_DOCUMENT: Final = 65536  # bytes
MAX_DIALOGS: Final = 256  # of one document
MAX_DEPTH: Final = 16  # elements within elements
MAX_TEXT: Final = 1024  # characters of one value that are kept
MAX_VERSION: Final = 2**32 - 1

Direction = Literal["initiator", "recipient"]


class DialogState(StrEnum):
    """RFC 4235 §3.7.1."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One side of a dialog: its identity's URI and name, as the notifier tells them."""

    uri: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogEntry:
    """One dialog of the watched user."""

    id: str
    state: DialogState
    direction: Direction | None = None
    call_id: str | None = None
    local_tag: str | None = None
    remote_tag: str | None = None
    local: Participant | None = None
    remote: Participant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogInfo:
    """The dialogs of ``entity``: all of them, or (not ``is_full``) those that changed."""

    entity: str
    version: int
    is_full: bool
    dialogs: tuple[DialogEntry, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> "DialogInfo":
        """A document; RemoteProtocolError for one that is malformed, too large, or declares types or entities."""
        if len(content) > MAX_DOCUMENT:
            raise RemoteProtocolError(f"more than {MAX_DOCUMENT} bytes of dialog-info", status=413)
        root = _read(content)
        if root.name != "dialog-info":
            raise RemoteProtocolError("not a dialog-info document")
        version = root.attributes.get("version", "")
        if not (version.isascii() and version.isdigit() and len(version) <= 10 and int(version) <= MAX_VERSION):
            raise RemoteProtocolError("dialog-info without a version")
        return cls(
            entity=root.attributes.get("entity", ""),
            version=int(version),
            is_full=root.attributes.get("state") != "partial",
            dialogs=tuple(_entry(element) for element in root.all("dialog")),
        )

    def format(self) -> bytes:
        """The inverse of `parse`; characters that XML can't carry become U+FFFD."""
        state = "full" if self.is_full else "partial"
        head = _attributes({"xmlns": NAMESPACE, "version": str(self.version), "state": state, "entity": self.entity})
        dialogs = "".join(_format_entry(entry) for entry in self.dialogs)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<dialog-info{head}>{dialogs}</dialog-info>\n'.encode()


# --- reading ---


@dataclass(slots=True, kw_only=True)
class _Element:
    """As much of an XML element as is of interest."""

    name: str
    attributes: Mapping[str, str]
    text: str = ""
    children: list["_Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["_Element"]:
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> "_Element | None":
        return next(self.all(name), None)


class _Reader:
    """Builds a bounded tree of the elements in dialog-info's namespace, whatever prefix they have, or in none."""

    def __init__(self) -> None:
        self._open: list[_Element] = [_Element(name="", attributes={})]
        self._dialogs = 0
        self.document = self._open[0]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise RemoteProtocolError(f"dialog-info nests deeper than {MAX_DEPTH}")
        namespace, _, local = name.rpartition(" ")
        kept = {key: value[:MAX_TEXT] for key, value in attributes.items()}
        element = _Element(name=local if namespace in ("", NAMESPACE) else "", attributes=kept)
        self._dialogs += element.name == "dialog"
        if self._dialogs > MAX_DIALOGS:
            raise RemoteProtocolError(f"more than {MAX_DIALOGS} dialogs")
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        element = self._open[-1]
        element.text = (element.text + text)[:MAX_TEXT]

    def doctype(self, *_: object) -> None:
        raise RemoteProtocolError("a document type in dialog-info")


def _read(content: bytes) -> _Element:
    """The root element.

    A document type is refused before anything in it is looked at, so no entity is ever expanded; and it is UTF-8
    whatever it says it is, since expat would hand the bytes to any codec of Python's that a peer names.
    """
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8", " ")
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(content, True)  # noqa: FBT003  # expat takes no keywords
    except expat.ExpatError as error:
        raise RemoteProtocolError(f"malformed XML: {error}") from error
    return reader.document.children[0]


def _entry(element: _Element) -> DialogEntry:
    words = element.first("state")
    word = words.text.strip().lower() if words is not None else ""
    if word not in DialogState.__members__.values():
        raise RemoteProtocolError("a dialog without a state")
    direction = element.attributes.get("direction")
    return DialogEntry(
        id=element.attributes.get("id", ""),
        state=DialogState(word),
        direction="initiator" if direction == "initiator" else "recipient" if direction == "recipient" else None,
        call_id=element.attributes.get("call-id"),
        local_tag=element.attributes.get("local-tag"),
        remote_tag=element.attributes.get("remote-tag"),
        local=_participant(element.first("local")),
        remote=_participant(element.first("remote")),
    )


def _participant(element: _Element | None) -> Participant | None:
    """Identity, or the target where that is all there is."""
    identity = element.first("identity") if element is not None else None
    if identity is not None:
        return Participant(uri=identity.text.strip(), name=identity.attributes.get("display"))
    target = element.first("target") if element is not None else None
    return Participant(uri=target.attributes.get("uri", "")) if target is not None else None


# --- writing ---


def _format_entry(entry: DialogEntry) -> str:
    attributes = {
        "id": entry.id,
        "call-id": entry.call_id,
        "local-tag": entry.local_tag,
        "remote-tag": entry.remote_tag,
        "direction": entry.direction,
    }
    sides = _format_side("local", entry.local) + _format_side("remote", entry.remote)
    return f"<dialog{_attributes(attributes)}><state>{entry.state}</state>{sides}</dialog>"


def _format_side(name: str, side: Participant | None) -> str:
    if side is None:
        return ""
    identity = f"<identity{_attributes({'display': side.name})}>{escape(_legal(side.uri))}</identity>"
    return f"<{name}>{identity}</{name}>"


def _attributes(values: Mapping[str, str | None]) -> str:
    return "".join(f" {name}={quoteattr(_legal(value))}" for name, value in values.items() if value is not None)


def _legal(text: str) -> str:
    """XML 1.0 (its section 2.2) has no control characters, no lone surrogates, and no U+FFFE and U+FFFF."""
    return "".join(c if _is_legal(c) else "\ufffd" for c in text)


def _is_legal(character: str) -> bool:
    return (
        character in "\t\n\r"
        or "\x20" <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or (character > "\uffff")
    )
