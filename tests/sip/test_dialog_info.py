"""The body of dialog state (RFC 4235 §4): read without ever expanding an entity, bounded, and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.dialog_info import (
    MAX_DEPTH,
    MAX_DIALOGS,
    MAX_DOCUMENT,
    MAX_TEXT,
    MAX_VERSION,
    NAMESPACE,
    DialogEntry,
    DialogInfo,
    DialogState,
    Participant,
)

NOT_CONTROL = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
WORDS = st.text(NOT_CONTROL, max_size=20)
PARTICIPANTS = st.builds(Participant, uri=WORDS.map(str.strip), name=st.none() | WORDS)
ENTRIES = st.builds(
    DialogEntry,
    id=WORDS,
    state=st.sampled_from(DialogState),
    direction=st.sampled_from([None, "initiator", "recipient"]),
    call_id=st.none() | WORDS,
    local_tag=st.none() | WORDS,
    remote_tag=st.none() | WORDS,
    local=st.none() | PARTICIPANTS,
    remote=st.none() | PARTICIPANTS,
)
DOCUMENTS = st.builds(
    DialogInfo,
    entity=WORDS,
    version=st.integers(0, MAX_VERSION),
    is_full=st.booleans(),
    dialogs=st.lists(ENTRIES, max_size=4).map(tuple),
)


def document(dialogs: str = "", *, version: str = "3", state: str = "full", head: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?>{head}<dialog-info xmlns="{NAMESPACE}" version="{version}" state="{state}" '
        f'entity="sip:door@192.0.2.2">{dialogs}</dialog-info>'
    ).encode()


@given(DOCUMENTS)
def test_what_is_formatted_is_parsed_back(info: DialogInfo) -> None:
    assert DialogInfo.parse(info.format()) == info


def test_a_document_is_read_whole() -> None:
    content = document(
        '<dialog id="as7d900as8" call-id="a84b4c76e66710" local-tag="1928301774" remote-tag="456887766" '
        'direction="initiator"><state event="local-bye" code="200"> Confirmed </state><duration>274</duration>'
        '<local><identity display="Alice">sip:alice@example.com</identity>'
        '<target uri="sip:alice@pc33.example.com"><param pname="x" pval="y"/></target></local>'
        '<remote><target uri="sip:bob@192.0.2.4"/></remote></dialog><dialog><state>early</state><local/></dialog>'
        '<x:other xmlns:x="urn:x"><dialog/></x:other>',
        state="partial",
    )
    assert DialogInfo.parse(content) == DialogInfo(
        entity="sip:door@192.0.2.2",
        version=3,
        is_full=False,
        dialogs=(
            DialogEntry(
                id="as7d900as8",
                state=DialogState.CONFIRMED,
                direction="initiator",
                call_id="a84b4c76e66710",
                local_tag="1928301774",
                remote_tag="456887766",
                local=Participant(uri="sip:alice@example.com", name="Alice"),
                remote=Participant(uri="sip:bob@192.0.2.4"),
            ),
            DialogEntry(id="", state=DialogState.EARLY),
        ),
    )


@pytest.mark.parametrize(
    "content",
    [
        b'<d:dialog-info xmlns:d="urn:ietf:params:xml:ns:dialog-info" version="1" entity="e"/>',
        b'<dialog-info version="1" entity="e" state="full"/>',
        b'<?xml version="1.0" encoding="unicode_escape"?><dialog-info version="1" entity="e"/>',
        '<dialog-info version="1" entity="e"/>'.encode("utf-16"),
    ],
)
def test_prefixes_namespaces_and_declared_encodings_may_be_as_they_are(content: bytes) -> None:
    assert DialogInfo.parse(content) == DialogInfo(entity="e", version=1, is_full=True)


BOMB = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (b"<dialog-info", 400),
        (b"<other/>", 400),
        (b'<dialog-info xmlns="urn:other" version="1"/>', 400),
        (document("\xff").decode().encode("latin-1"), 400),
        (document(head=BOMB), 400),
        (document(head='<!DOCTYPE dialog-info SYSTEM "http://192.0.2.66/x.dtd">'), 400),
        (document("&undefined;"), 400),
        (document(version=""), 400),
        (document(version="-1"), 400),
        (document(version=str(MAX_VERSION + 1)), 400),
        (document(version="1" * 5000), 400),
        (document("<dialog id='1'/>"), 400),
        (document("<dialog id='1'><state>asleep</state></dialog>"), 400),
        (document("<dialog><state>early</state></dialog>" * (MAX_DIALOGS + 1)), 400),
        (document("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH), 400),
        (document("x" * MAX_DOCUMENT), 413),
    ],
)
def test_what_is_malformed_or_dangerous_is_refused(content: bytes, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        DialogInfo.parse(content)
    assert caught.value.status == status


def test_long_texts_are_cut() -> None:
    uri, name = "sip:" + "u" * 9999, "n" * 9999
    content = document(
        f"<dialog id='1'><state>early</state><remote><identity display='{name}'>{uri}</identity></remote></dialog>"
    )
    (dialog,) = DialogInfo.parse(content).dialogs
    assert dialog.remote == Participant(uri=uri[:MAX_TEXT], name=name[:MAX_TEXT])


def test_as_many_dialogs_as_allowed_and_depth_are_read() -> None:
    content = document(
        "<dialog><state>early</state></dialog>" * MAX_DIALOGS + "<a>" * (MAX_DEPTH - 1) + "</a>" * (MAX_DEPTH - 1)
    )
    assert len(DialogInfo.parse(content).dialogs) == MAX_DIALOGS


def test_what_xml_can_not_carry_is_replaced_and_markup_is_escaped() -> None:
    info = DialogInfo(
        entity="sip:\"<&>'@x",
        version=1,
        is_full=True,
        dialogs=(
            DialogEntry(
                id="\0",
                state=DialogState.EARLY,
                remote=Participant(uri="sip:\x1b]]><x>&amp;\udcff@h", name="\ufffe\U0001f514\t"),
            ),
        ),
    )
    (dialog,) = DialogInfo.parse(info.format()).dialogs
    assert (dialog.id, dialog.remote) == (
        "\ufffd",
        Participant(uri="sip:\ufffd]]><x>&amp;\ufffd@h", name="\ufffd\U0001f514\t"),
    )
    assert DialogInfo.parse(info.format()).entity == info.entity


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        DialogInfo.parse(content)
