"""Captures docs/mqtt/examples.json from a running bridge: run it by script/examples."""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.bridge.conversation import capture

FILE = Path(__file__).parents[1] / "docs" / "mqtt" / "examples.json"


async def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        captured = await capture(Path(folder))
    FILE.write_text(captured.as_json(), encoding="utf-8")
    said = f"{len(captured.published)} topics, {len(captured.requests)} requests: {FILE.name}"
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    asyncio.run(main())
