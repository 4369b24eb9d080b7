"""What all tests share."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.peers.fixtures"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what failed in script/test before pytest started, so that the last lines tell all."""
    failed = Path(os.environ.get("SIP_BRIDGE_FAILED_PARTS", os.devnull)).read_text().splitlines()
    for part in failed:
        terminalreporter.write_line(f"FAILED before these tests: {part}", red=True)
