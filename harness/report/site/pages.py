"""Templates and the files that they become."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report.figures import MISSING, count, duration, memory

HERE = Path(__file__).parent


@lru_cache
def environment() -> Environment:
    """Templates escape what they print; an undefined name is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count, "duration": duration, "memory": memory, "decimals": decimals}
    return made


def decimals(number: float | None, digits: int = 2) -> str:
    """A number with so many decimals, a minus sign that is one, and a dash where there is none."""
    return MISSING if number is None else f"{number:.{digits}f}".replace("-", "−")


def write_page(folder: Path, name: str, template: str, **values: Any) -> None:
    """Writes one page; links in it are relative to its own place (`root`)."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = environment().get_template(template).render(root="../" * name.count("/"), **values)
    path.write_text(text, encoding="utf-8")


def copy_static(folder: Path) -> None:
    """Copies style sheets and scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in (HERE / "static").iterdir():
        (folder / source.name).write_bytes(source.read_bytes())
