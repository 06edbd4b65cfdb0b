"""`harness` with edges: the main module of a command's process and of the workers that it spawns."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import edges
import elsewhere

edges.install()
elsewhere.install()

if __name__ == "__main__":
    from harness.cli.main import main

    main()
