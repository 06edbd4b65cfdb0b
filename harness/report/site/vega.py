"""The plotting library's JavaScript: Vega, Vega-Lite and Vega-Embed in one file, as vl-convert ships them."""

from __future__ import annotations

import json
from pathlib import Path

from harness.errors import PrerequisiteError

MISSING = "--format html needs the package vl-convert-python: pip install 'peft-harness[html]'"


def put_vega(folder: Path) -> str:
    """Writes the bundle into a folder, unless this version lies there already; returns the file's name.

    Raises PrerequisiteError where vl-convert-python is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise PrerequisiteError(MISSING) from None
    lite = vl_convert.get_vegalite_versions()[-1]
    path = folder / f"vega-{vl_convert.get_vega_version()}-lite-{lite}-embed-{vl_convert.get_vega_embed_version()}.js"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        bundle = vl_convert.javascript_bundle(vl_version=lite)
        partial = path.with_suffix(".partial")
        partial.write_text(f"/* {json.dumps(path.stem)}, BSD 3-Clause, vega.github.io */\n{bundle}", encoding="utf-8")
        partial.replace(path)
    return path.name
