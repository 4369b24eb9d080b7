"""What `sip_bridge.pyvoip.SIP.message.SIPMessage` costs, beside pyVoIP's if that is installed, in one run.

``python benchmarks/pyvoip_parse.py`` prints microseconds a message: the best of many rounds, the candidates by turns.
pyVoIP reads everything at once; what is here is read when it is asked for, so both are told.
"""

import importlib
import timeit
from collections.abc import Callable
from contextlib import suppress

from parse import INVITE

from sip_bridge.pyvoip.SIP.message import SIPMessage

NUMBER, ROUNDS = 1000, 25


def construct() -> object:
    """The first line, and where the headers are."""
    return SIPMessage(INVITE)


def read_headers() -> object:
    """Every header parsed."""
    return SIPMessage(INVITE).headers


def read_everything() -> object:
    """The session description, too."""
    message = SIPMessage(INVITE)
    return message.headers, message.body


def main() -> None:
    """Print a line for each candidate."""
    candidates: dict[str, Callable[[], object]] = {
        "construct": construct,
        "and read headers": read_headers,
        "and read body": read_everything,
    }
    with suppress(ImportError):
        reference = importlib.import_module("pyVoIP.SIP.message").SIPMessage
        candidates["pyVoIP"] = lambda: reference(INVITE)
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(ROUNDS):
        for name, run in candidates.items():
            best[name] = min(best[name], timeit.timeit(run, number=NUMBER) / NUMBER)
    for name, seconds in best.items():
        print(f"{name:>20} {1e6 * seconds:7.2f} µs")


if __name__ == "__main__":
    main()
