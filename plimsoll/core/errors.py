"""The error that a person reads: what was wrong and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable

USER_ERROR_EXIT = 2


class UserError(Exception):
    """A mistake of input or environment. The message is one line: what was wrong, where, and what to do."""


def run_command(command: Callable[[], int | None]) -> int:
    """Run a command's body and return its exit code.

    A `UserError` is printed in one line on stderr and gives 2; Ctrl-C gives 130; anything else is a bug and keeps its
    traceback.
    """
    try:
        return command() or 0
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return USER_ERROR_EXIT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
