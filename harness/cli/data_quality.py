"""What `harness show` and `harness data check` say of training examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FLAWS = {
    "truncated": "cut",
    "dropped": "left out (nothing to learn once cut)",
    "duplicates": "repeat an earlier one",
    "empty_outputs": "without an answer",
}


def example_line(counts: Mapping[str, int]) -> str:
    """How many examples were used, and of these what is amiss."""
    if not counts.get("read"):
        return ""
    told = [f"{counts[name]:,} {words}" for name, words in FLAWS.items() if counts.get(name)]
    used = f"examples: {counts['used']:,} of {counts['read']:,} trained on, {counts['validation']:,} for validation"
    return "; ".join([used, *told])


def length_line(lengths: Mapping[str, Any] | None) -> str:
    """Tokens an example."""
    if not lengths:
        return ""
    return (
        f"tokens an example: mean {lengths['mean']:.1f}, median {lengths['p50']}, 95 % up to {lengths['p95']}, "
        f"longest {lengths['max']}; {lengths['truncated_percent']:.1f} % beyond {lengths['max_length']}"
    )


def prefix_line(prefix: Mapping[str, Any] | None) -> str:
    """How scoring prompts compare with what is trained; nothing where all are alike."""
    if not prefix or not prefix["mismatched"]:
        return ""
    told = f"prompt: {prefix['mismatched']} of {prefix['checked']} examples are scored in other tokens than trained"
    return f"{told}: {prefix['first']}"


def quality_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `pipeline.data_quality` found in training data of some name; nothing where it could not be read."""
    if found["problem"]:
        return
    told = [f"{found[name]:,} {words}" for name, words in FLAWS.items() if found.get(name)]
    yield f"{found['name']}: " + "; ".join([f"{found['examples']:,} examples", *told])
    for line in (length_line(found["lengths"]), prefix_line(found["prefix"])):
        if line:
            yield f"  {line}"
