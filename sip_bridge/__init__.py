"""sip-bridge: door stations, intercoms and phone lines for MQTT and Home Assistant."""

from importlib.metadata import version

__version__ = version("sip-bridge")
