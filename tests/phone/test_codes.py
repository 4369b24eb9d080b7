"""Codes that callers enter, and the lock on trying them."""

from sip_bridge.phone.codes import MAX_WRONG, CodeLock, Verdict
from sip_bridge.phone.settings import DTMFCode, Secret

FAMILY = DTMFCode(name="family", digits=Secret("4711"))
POST = DTMFCode(name="post", digits=Secret("042"))
WRONG, LOCKED = Verdict(), Verdict(locked=True)


def test_a_code_is_told_by_its_name() -> None:
    lock = CodeLock([FAMILY, POST])
    assert [lock.check(digits, 0.0) for digits in ("4711", "042", "4712")] == [
        Verdict(code="family"),
        Verdict(code="post"),
        WRONG,
    ]


def test_without_codes_nothing_is_one() -> None:
    assert CodeLock([]).check("4711", 0.0) == WRONG


def test_after_ten_wrong_ones_no_code_is_taken_for_a_minute() -> None:
    lock = CodeLock([FAMILY])
    assert [lock.check(f"000{n}", 0.0) for n in range(MAX_WRONG)] == [WRONG] * 10
    assert [lock.check("4711", now) for now in (1.0, 59.0)] == [LOCKED] * 2
    assert lock.check("4711", 61.0) == Verdict(code="family")
    assert [lock.check(digits, 61.0) for digits in ("0000", "4711")] == [WRONG, LOCKED]


def test_right_codes_and_other_sequences_use_up_no_try() -> None:
    lock = CodeLock([FAMILY])
    assert [lock.check("4711", 0.0).code for _ in range(50)] == ["family"] * 50
    assert [lock.check("12", 0.0) for _ in range(50)] == [WRONG] * 50
    assert lock.check("4711", 0.0) == Verdict(code="family")


def test_ten_thousand_codes_take_a_week() -> None:
    lock = CodeLock([DTMFCode(name="last", digits=Secret("9999"))])
    tried = 0
    for minute in range(6 * 24 * 60):
        verdicts = [lock.check(f"{tried + n:04}", 60.0 * minute) for n in range(12)]
        tried += verdicts.count(WRONG)
    assert tried < 10_000
    assert Verdict(code="last") not in verdicts
