"""What a command tells the shell by its exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """One for all commands; docs/cli.md says what each means where."""

    DONE = 0
    FAILED = 1  # an address in use, nobody answered, something is wrong
    USAGE = 2  # the configuration or the command line is wrong
    INTERRUPTED = 130  # by Ctrl-C or SIGTERM, before it was done


EPILOG = (
    "Exit codes: 0 done; 1 it could not be done (an address in use, nobody answered, something is wrong); "
    "2 the configuration or the command line is wrong; 130 interrupted."
)
