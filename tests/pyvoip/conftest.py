"""A PBX for each test; and no thread may be left by any."""

import threading
from collections.abc import Iterator

import pytest

from tests.pyvoip.pbx import Pbx


@pytest.fixture
def pbx() -> Iterator[Pbx]:
    before = set(threading.enumerate())
    pbx = Pbx()
    yield pbx
    pbx.close()
    assert set(threading.enumerate()) <= before
