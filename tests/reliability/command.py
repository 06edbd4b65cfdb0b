"""`harness` with edges, in the command's process and in the workers that it spawns."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import edged_worker
import edges
import elsewhere

from harness.cli.main import main
from harness.schedule import slot

edges.install()
elsewhere.install()
slot.work_through = edged_worker.work_through
main()
