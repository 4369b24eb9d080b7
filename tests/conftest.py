"""What all tests share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.peers.fixtures"]

# No deadline, since a busy machine is no finding. CI looks at the same examples each time, so that it tells about the
# change at hand; what chance finds, it finds where somebody works. HYPOTHESIS_PROFILE=thorough looks far longer.
settings.register_profile("quick", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("brief", deadline=None, derandomize=True, max_examples=15, stateful_step_count=20)
settings.register_profile("thorough", deadline=None, max_examples=3000, stateful_step_count=80)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick"))


@pytest.fixture(autouse=True)
def log_level_as_before() -> Iterator[None]:
    """A bridge sets it, and puts back what it found: which may be what a test had set meanwhile."""
    package = logging.getLogger("sip_bridge")
    before = package.level
    yield
    package.setLevel(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what failed in script/test before pytest started, so that the last lines tell all."""
    failed = Path(os.environ.get("SIP_BRIDGE_FAILED_PARTS", os.devnull)).read_text().splitlines()
    for part in failed:
        terminalreporter.write_line(f"FAILED before these tests: {part}", red=True)
