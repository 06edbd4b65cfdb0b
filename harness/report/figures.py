"""How numbers read in a table for people."""

from __future__ import annotations

from harness.report.estimates import Average, TaskValue

MISSING = "–"
UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "K"))


def estimate(found: TaskValue | Average | None, errors: bool = True) -> str:
    """A value with its standard error."""
    if found is None:
        return MISSING
    return f"{found.value:.2f} ± {found.stderr:.2f}" if errors and found.stderr is not None else f"{found.value:.2f}"


def interval(found: Average | None) -> str:
    """The ends of an average's 95 % interval."""
    if found is None or found.ci_low is None or found.ci_high is None:
        return MISSING
    return f"{found.ci_low:.1f} to {found.ci_high:.1f}"


def count(number: int) -> str:
    """A number of parameters in three digits or so."""
    if number < 1000:
        return str(number)
    rounded = float(f"{number:.3g}")  # which may reach the next unit
    size, unit = next((size, unit) for size, unit in UNITS if rounded >= size)
    return f"{rounded / size:.3g}{unit}" if rounded < 1000 * size else f"{number / size:.0f}{unit}"


def duration(seconds: float | None) -> str:
    """A time in its two largest units."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def memory(size: int | None) -> str:
    """A size in GiB, or in MiB where it is small."""
    if size is None:
        return MISSING
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
