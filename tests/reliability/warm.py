"""Commands in processes of their own that need not import torch: this one has, and they are its forks.

Reads one JSON object a line from stdin, `{folder, environment, arguments}`, does `harness` with these arguments and
edges in a child whose output goes to `folder/said`, and answers with its exit code, negative for a signal.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def import_all() -> None:
    """Everything heavy that a run imports."""
    import harness.cli.run
    import harness.pipeline.check
    import harness.pipeline.execute
    import harness.pipeline.unfit
    import harness.pipeline.workbench
    import harness.report.leaderboard
    import harness.report.render
    import harness.score.scoring
    import harness.train.training  # noqa: F401


def child(order: dict[str, Any]) -> None:
    """Becomes the command."""
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    import edges

    edges.install()
    sys.argv = ["harness", *order["arguments"]]
    from harness.cli.main import main

    main()


def exit_code(order: dict[str, Any]) -> int:
    """Does the command, and says how it ended."""
    try:
        child(order)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 70


if __name__ == "__main__":
    import_all()
    gc.freeze()  # a fork need not look through what it inherits
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(exit_code(json.loads(line)))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
