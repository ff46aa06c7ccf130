"""The machine stays awake while there is work, and only then."""

from __future__ import annotations

import sys

from sdtui.engine.awake import Awake


def test_it_is_kept_awake_while_busy_by_one_process_that_ends_with_the_work() -> None:
    awake = Awake([sys.executable, "-c", "import time; time.sleep(60)"])
    seen = []
    for busy in (False, True, True, False):
        awake.keep(busy)
        seen.append((awake.kept, awake._process))
    (idle, _), (begun, process), (busy, same), (over, _) = seen
    assert (idle, begun, busy, over) == (False, True, True, False)
    assert same is process
    assert process is not None
    assert process.returncode is not None


def test_where_nothing_can_keep_it_awake_work_goes_on() -> None:
    for command in ((), ("no-such-command-anywhere",)):
        awake = Awake(command)
        awake.keep(True)
        assert not awake.kept
        awake.keep(False)
