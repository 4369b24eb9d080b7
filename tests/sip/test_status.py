"""Status codes."""

import pytest

from sip_bridge.sip.status import SIPStatus

# IANA's "Response Codes" registry (RFC 3261 and the RFCs that added to it).
REGISTRY = [
    *(100, 180, 181, 182, 183, 199, 200, 202, 204, 300, 301, 302, 305, 380),
    *(400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 417),
    *(420, 421, 422, 423, 424, 425, 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470),
    *(480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494),
    *(500, 501, 502, 503, 504, 505, 513, 555, 580, 600, 603, 604, 606, 607, 608),
]


@pytest.mark.parametrize("code", REGISTRY)
def test_every_registered_code_has_a_phrase_and_a_description(code: int) -> None:
    status = SIPStatus(code)
    assert (status.value, bool(status.phrase), bool(status.description)) == (code, True, True)
    assert status.name != f"UNKNOWN_{code}"


def test_only_obsolete_codes_stand_beside_the_registry() -> None:
    assert {int(member) for member in SIPStatus} - set(REGISTRY) == {409, 411}


def test_a_status_reads_as_on_the_wire() -> None:
    assert (str(SIPStatus.BUSY_HERE), int(SIPStatus.BUSY_HERE)) == ("486 Busy Here", 486)


@pytest.mark.parametrize(
    ("code", "phrase", "kinds"),
    [
        (150, "Trying", (True, False, False)),
        (299, "OK", (False, True, True)),
        (399, "Multiple Choices", (False, True, False)),
        (499, "Bad Request", (False, True, False)),
        (599, "Server Internal Error", (False, True, False)),
        (699, "Busy Everywhere", (False, True, False)),
    ],
)
def test_an_unknown_code_keeps_its_number_and_acts_as_the_x00(
    code: int, phrase: str, kinds: tuple[bool, bool, bool]
) -> None:
    status = SIPStatus(code)
    assert (int(status), status.name, status.phrase) == (code, f"UNKNOWN_{code}", phrase)
    assert (status.is_provisional, status.is_final, status.is_success) == kinds
    assert status is SIPStatus(code)
    assert status.description == f"Not registered; treated as {code // 100}00"


@pytest.mark.parametrize("code", [0, 99, 700, -1, "200", None])
def test_a_number_that_is_no_status_code_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="is not a valid SIPStatus"):
        SIPStatus(code)  # type: ignore[arg-type]


def test_old_spellings_name_the_same_codes() -> None:
    old = [SIPStatus["SESSION_INTERVAL_TOO_BRIEF"], SIPStatus["UNKOWN_RESOURCE_PRIORITY"]]
    assert old == [SIPStatus.INTERVAL_TOO_BRIEF, SIPStatus.UNKNOWN_RESOURCE_PRIORITY]
