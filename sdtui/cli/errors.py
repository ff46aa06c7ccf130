"""How a command ends: exit codes, and one line for whatever went wrong."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from sdtui.conversion import ConversionRequestError
from sdtui.errors import SdtuiError
from sdtui.request import RequestError

FAILED = 1
WRONG_COMMAND_LINE = 2
INTERRUPTED = 130


class CommandLineError(SdtuiError):
    """The command line asks for what makes no sense."""


def exit_code_of(command: Callable[[], int], *, debug: bool) -> int:
    """Run ``command``; explain what it raises in one line on stderr (``debug``: with its traceback)."""
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (CommandLineError, RequestError, ConversionRequestError) as error:
        return _explain(str(error), WRONG_COMMAND_LINE, debug)
    except SdtuiError as error:
        return _explain(str(error), FAILED, debug)
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        return _explain(f"something unforeseen went wrong, {detail}, --debug shows where", FAILED, debug)


def _explain(line: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print("error:", " ".join(line.split()), file=sys.stderr)
    return code
