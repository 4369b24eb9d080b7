"""`recording:`: where recordings go, and how much of them is kept."""

from pathlib import Path
from typing import Any, Final

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.phone.settings import RecordingSettings

_MIB: Final = 1 << 20
_LONGEST: Final = 12 * 3600  # seconds: at 16 kHz still less than a WAV file can have
_DEFAULT_FOLDER: Final = Path("recordings")  # in the state_dir


def _mebibytes(low: int, high: int) -> valid.Validator:
    number = valid.integer(low, high)
    return lambda value: number(value) * _MIB


def recording_settings(values: dict[str, Any], *, beside: Path, state_dir: Path) -> RecordingSettings:
    """What `RECORDING` gave, its folder ``beside`` the configuration."""
    folder = beside / values["folder"] if "folder" in values else state_dir / _DEFAULT_FOLDER
    return RecordingSettings(**{**values, "folder": folder})


RECORDING: Final = valid.section(
    dict,
    {
        vol.Optional("folder"): valid.folder,
        vol.Optional("max_seconds"): valid.integer(1, _LONGEST),
        vol.Optional("max_size"): _mebibytes(1, 10_000_000),
        vol.Optional("min_free"): _mebibytes(0, 10_000_000),
        vol.Optional("keep_days"): valid.integer(1, 36500),
    },
)
