"""What is counted in ``B/health``, and what each counter means: docs/mqtt/health.md is written from here."""

from collections.abc import Mapping
from typing import Final

SIP_COUNTERS: Final[Mapping[str, str]] = {  # of the SIP engine; a test holds that it raises no other
    "bugs": "SIP requests that ended in an error of the bridge's own; the log has a traceback, the peer got 500.",
    "challenges_from_elsewhere": (
        "Challenges for a password from another host than the one that was asked: they are not answered."
    ),
    "crowded": "Calls, subscriptions and texts refused with 480, since their sender has too many at a time already.",
    "keep_alives": "Empty messages with which peers, or routers on the way, keep a path open. Not a fault.",
    "malformed": "Messages that are no SIP, or break its rules: a few from scanners, many from a phone with a bug.",
    "own_binding_not_listed": (
        "Registrations that were accepted with an answer that does not list this bridge: it goes by what was asked for."
    ),
    "replayed_credentials": "Callers' passwords that were sent a second time as they were: they are asked again.",
    "stray_acks": "ACKs for no call that is known. A few are normal.",
    "stray_responses": "Answers to nothing that was asked, or that came too late. A few are normal.",
    "strangers": (
        "Messages from hosts that are neither a registrar nor allowed to call a line: they get no answer. Scanners of"
        " the internet make this grow; a door station of yours that does needs `allow_from`."
    ),
    "unsteady_addresses": (
        "Times that a registrar showed another public address of ours so soon after the one before that it was not"
        " registered: a router on the way changes them."
    ),
    "wrong_credentials": "Wrong passwords of callers of a line that asks for one.",
}
BRIDGE_COUNTERS: Final[Mapping[str, str]] = {
    "dropped_events": "MQTT events that were lost, since too many waited for a broker that was away.",
    "dropped_requests": "MQTT requests that were not done: retained ones, and those refused as `busy` in a flood.",
    "refused_messages": "Messages that the MQTT broker did not take: no right to publish there, or too long for it.",
    "untraced_messages": "SIP messages that a running `trace` did not show, since there were too many a second.",
}
COUNTERS: Final[Mapping[str, str]] = {**SIP_COUNTERS, **BRIDGE_COUNTERS}
