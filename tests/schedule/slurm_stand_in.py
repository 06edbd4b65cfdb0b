"""Slurm's commands for one machine, as far as submitit and the harness use them.

`install(folder)` puts them into a folder for PATH. Jobs begin at once, with `--hold` never. `$STAND_IN_LACKS` names
commands that do not answer; an ended job is no longer in the queue where its file `NUMBER.purged` is there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel")
PARTITIONS = ("debug", "gpu")


def install(folder: Path) -> None:
    """Writes the commands; what they know of jobs lies beside them."""
    (folder / "jobs").mkdir(parents=True)
    for name in COMMANDS:
        script = folder / name
        line = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import slurm_stand_in"
        script.write_text(f"#!{sys.executable}\n{line}; slurm_stand_in.{name}({str(folder / 'jobs')!r})\n")
        script.chmod(0o755)


def _flags(words: list[str]) -> dict[str, str]:
    given = [word.removeprefix("--").partition("=") for word in words if word.startswith("--")]
    return {name: value for name, _, value in given}


def _refuse_unknown(flags: dict[str, str]) -> None:
    if (partition := flags.get("partition", "debug")) not in PARTITIONS:
        sys.exit(f"sbatch: error: invalid partition specified: {partition}")


def sbatch(jobs: str) -> None:
    flags = _flags(sys.argv[1:])
    if "test-only" in flags:
        _refuse_unknown(flags)
        return
    script = Path(sys.argv[1])
    flags = _flags([line.removeprefix("#SBATCH ") for line in script.read_text().splitlines() if "#SBATCH" in line])
    _refuse_unknown(flags)
    number = len(list(Path(jobs).glob("*.json"))) + 1
    _write(jobs, number, "PENDING", flags)
    print(f"Submitted batch job {number}", flush=True)
    if "hold" in flags or os.fork():
        os._exit(0)
    os.setsid()
    for number_of_file in (0, 1, 2):  # whoever called sbatch waits for these to be closed
        os.dup2(os.open(os.devnull, os.O_RDWR), number_of_file)
    names = {"JOB_ID": number, "NTASKS": 1, "JOB_NUM_NODES": 1, "NODEID": 0, "PROCID": 0, "LOCALID": 0}
    names |= {"CPUS_PER_TASK": flags["cpus-per-task"]} if "cpus-per-task" in flags else {}
    environment = os.environ | {f"SLURM_{name}": str(value) for name, value in names.items()}
    _write(jobs, number, "RUNNING", flags, os.getpid())
    done = subprocess.run(["bash", str(script)], env=environment)
    if not Path(jobs, f"{number}.cancelled").exists():
        _write(jobs, number, "FAILED" if done.returncode else "COMPLETED", flags)


def _write(jobs: str, number: int, state: str, flags: dict[str, str], group: int = 0) -> None:
    draft = Path(jobs, f"{number}.draft")
    draft.write_text(json.dumps({"state": state, "flags": flags, "group": group}))
    draft.rename(Path(jobs, f"{number}.json"))


def srun(jobs: str) -> None:
    words, files = sys.argv[1:], {}
    while words[0].startswith("--"):
        name = words.pop(0)
        if name in ("--output", "--error"):
            path = words.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
            files["stdout" if name == "--output" else "stderr"] = open(path, "a")  # noqa: SIM115 - until it ends
    sys.exit(subprocess.run(words, **files).returncode)


def _answers(name: str) -> None:
    if any(variable.startswith(f"{name.upper()}_") for variable in os.environ):
        sys.exit(f"{name}: filtered by a variable")
    if name in os.environ.get("STAND_IN_LACKS", "").split():
        sys.exit(f"{name}: error: unable to contact slurm")


def squeue(jobs: str) -> None:
    _answers("squeue")
    assert _flags(sys.argv[1:]) == {
        "noheader": "", "user": str(os.getuid()), "states": "all", "format": "%A|%T",
    }  # fmt: skip
    for file in Path(jobs).glob("*.json"):
        if not file.with_suffix(".purged").exists():
            print(f"{file.stem}|{json.loads(file.read_text())['state'].split()[0]}")


def sacct(jobs: str) -> None:
    _answers("sacct")
    for number in sys.argv[sys.argv.index("--jobs") + 1].split(","):
        if (file := Path(jobs, f"{number}.json")).exists():
            print(f"{number}|{json.loads(file.read_text())['state']}")


def scancel(jobs: str) -> None:
    number = sys.argv[-1]
    job = json.loads(Path(jobs, f"{number}.json").read_text())
    if job["state"] == "PENDING" or (job["state"] == "RUNNING" and "state" not in _flags(sys.argv[1:])):
        Path(jobs, f"{number}.cancelled").touch()
        if job["group"]:
            os.killpg(job["group"], signal.SIGTERM)
            time.sleep(0.2)
            os.killpg(job["group"], signal.SIGKILL)
        _write(jobs, int(number), "CANCELLED by 0", job["flags"])
