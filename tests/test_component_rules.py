"""What Home Assistant's hassfest and its quality scale ask of the component, as far as a file can show it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
COMPONENT = ROOT / "custom_components" / "sip_phone"
MANIFEST: dict[str, Any] = json.loads((COMPONENT / "manifest.json").read_text())
ENGLISH: Any = json.loads((COMPONENT / "translations" / "en.json").read_text())
ICONS: Any = json.loads((COMPONENT / "icons.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((COMPONENT / "quality_scale.yaml").read_text())["rules"]
SOURCES = {path.stem: path.read_text() for path in COMPONENT.glob("*.py")}
GUIDE = (ROOT / "docs" / "home-assistant.md").read_text()
PLATFORMS = ("binary_sensor", "button", "event", "sensor")


def described(name: str) -> dict[str, Any]:
    """What `triggers.yaml` or one of its like describes; a dot hides what is only there to be referred to."""
    descriptions: dict[str, Any] = yaml.safe_load((COMPONENT / f"{name}.yaml").read_text())
    return {key: value for key, value in descriptions.items() if not key.startswith(".")}


def test_the_manifest_has_what_a_custom_integration_needs_in_the_order_that_hassfest_asks() -> None:
    assert list(MANIFEST) == ["domain", "name", *sorted(set(MANIFEST) - {"domain", "name"})]
    assert set(MANIFEST) >= {"codeowners", "documentation", "issue_tracker", "version", "iot_class", "integration_type"}
    assert (MANIFEST["domain"], MANIFEST["requirements"]) == (COMPONENT.name, [])
    assert [owner for owner in MANIFEST["codeowners"] if not owner.startswith("@")] == []


def test_hacs_knows_the_name_and_the_oldest_home_assistant() -> None:
    hacs = json.loads((ROOT / "hacs.json").read_text())
    assert hacs == {"name": MANIFEST["name"], "homeassistant": "2026.11.0"}
    assert [path.name for path in COMPONENT.parent.iterdir() if path.is_dir()] == [COMPONENT.name]


@pytest.mark.parametrize(("kind", "icon"), [("triggers", "trigger"), ("conditions", "condition")])
def test_every_trigger_and_condition_is_named_has_an_icon_and_stands_in_the_documentation(kind: str, icon: str) -> None:
    known = described(kind)
    assert set(known) == set(ENGLISH[kind]) == set(ICONS[kind])
    for name, description in known.items():
        words = ENGLISH[kind][name]
        assert set(description.get("fields", {})) == set(words.get("fields", {})), name
        assert all(words[key] for key in ("name", "description")), name
        assert re.fullmatch(r"mdi:[a-z-]+", ICONS[kind][name][icon]), name
        assert f"`sip_phone.{name}`" in GUIDE, name


@pytest.mark.parametrize("action", sorted(described("services")))
def test_every_action_stands_in_the_documentation(action: str) -> None:
    assert f"`sip_phone.{action}`" in GUIDE


@pytest.mark.parametrize(
    "field",
    [
        *ENGLISH["options"]["step"]["init"]["data"],
        *ENGLISH["config"]["step"]["user"]["data"],
        *ENGLISH["config_subentries"]["door_station"]["step"]["user"]["data"],
    ],
)
def test_every_field_of_a_form_stands_in_the_documentation(field: str) -> None:
    assert f"`{field}`" in GUIDE


@pytest.mark.parametrize("flow", ["config", "options", "config_subentries"])
def test_every_field_of_a_form_is_explained(flow: str) -> None:
    forms = ENGLISH[flow]["door_station"] if flow == "config_subentries" else ENGLISH[flow]
    for name, step in forms["step"].items():
        assert set(step.get("data", {})) == set(step.get("data_description", {})), name


@pytest.mark.parametrize("key", sorted(ENGLISH["issues"]))
def test_every_issue_is_raised_somewhere(key: str) -> None:
    assert f'"{key}' in SOURCES["issues"]


def test_no_text_refers_to_another_which_only_core_may_do() -> None:
    assert "[%key:" not in (COMPONENT / "translations" / "en.json").read_text()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_done_or_says_why_not(rule: str) -> None:
    entry = RULES[rule]
    assert entry == "done" or (entry["status"], bool(entry["comment"])) == ("exempt", True)


@pytest.mark.parametrize(
    ("rule", "evidence"),
    [
        (
            "action-setup",
            "async_setup_services(hass)" in SOURCES["__init__"].partition("async def async_setup_entry")[0],
        ),
        ("brands", (COMPONENT / "brand" / "icon.png").exists()),
        ("common-modules", {"coordinator", "entity"} <= set(SOURCES)),
        ("config-entry-unloading", "async def async_unload_entry" in SOURCES["__init__"]),
        ("config-flow", MANIFEST["config_flow"]),
        ("diagnostics", "async_get_device_diagnostics" in SOURCES["diagnostics"]),
        ("discovery", bool(MANIFEST["mqtt"]) and "async_step_hassio" in SOURCES["config_flow"]),
        ("docs-conditions", "## Conditions" in GUIDE),
        ("docs-actions", "## Actions" in GUIDE),
        ("docs-configuration-parameters", "## Options" in GUIDE),
        ("docs-data-update", "## How data is updated" in GUIDE),
        ("docs-examples", "## Blueprints" in GUIDE and "```yaml" in GUIDE),
        ("docs-high-level-description", GUIDE.startswith("# The Home Assistant integration\n\n*SIP Phone* brings")),
        ("docs-installation-instructions", "## Installation" in GUIDE),
        ("docs-installation-parameters", "| Base topic (`base_topic`)" in GUIDE),
        ("docs-known-limitations", "## Known limitations" in GUIDE),
        ("docs-removal-instructions", "## Removing it" in GUIDE),
        ("docs-supported-devices", "## What it was tried with" in GUIDE),
        ("docs-supported-functions", "| entity of a line" in GUIDE),
        ("docs-triggers", "## Triggers" in GUIDE),
        ("docs-troubleshooting", "## When something is wrong" in GUIDE),
        ("docs-use-cases", "## What it is good for" in GUIDE),
        ("entity-disabled-by-default", "entity_registry_enabled_default=False" in SOURCES["sensor"]),
        ("exception-translations", "translation_domain=DOMAIN" in SOURCES["requests"]),
        ("has-entity-name", "_attr_has_entity_name = True" in SOURCES["entity"]),
        ("integration-owner", bool(MANIFEST["codeowners"])),
        ("parallel-updates", all("PARALLEL_UPDATES = " in SOURCES[platform] for platform in PLATFORMS)),
        ("reconfiguration-flow", "async_step_reconfigure" in SOURCES["config_flow"]),
        ("repair-issues", bool(ENGLISH["issues"])),
        ("runtime-data", "entry.runtime_data = coordinator" in SOURCES["__init__"]),
        ("stale-devices", "async_remove_config_entry_device" in SOURCES["__init__"]),
    ],
)
def test_what_is_said_to_be_done_can_be_seen(rule: str, evidence: bool) -> None:
    assert (RULES[rule], evidence) == ("done", True)
