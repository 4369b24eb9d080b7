"""The Home Assistant component ships alone, so it carries its own copy of the contract and of the version."""

import json
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPONENT = ROOT / "custom_components" / "sip_phone"


def test_the_components_contract_is_the_bridges_byte_for_byte() -> None:
    assert (COMPONENT / "contract.py").read_bytes() == (ROOT / "sip_bridge" / "mqtt" / "contract.py").read_bytes()


def test_sync_contract_checks_without_writing() -> None:
    before = (COMPONENT / "contract.py").stat().st_mtime_ns
    subprocess.run([ROOT / "script" / "sync-contract", "--check"], check=True)
    assert (COMPONENT / "contract.py").stat().st_mtime_ns == before


def test_the_manifest_has_the_projects_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert json.loads((COMPONENT / "manifest.json").read_text())["version"] == project["version"]
