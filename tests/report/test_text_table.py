"""Tables of plain text: aligned by what a terminal shows, wrapped where they are too wide."""

from __future__ import annotations

import pytest

from harness.report.text_table import TextColumn, text_table, wrapped


def test_columns_are_aligned_and_heads_stand_on_the_rule() -> None:
    table = text_table(
        [TextColumn(["Method", "漢字", "lora"], 6, left=True), TextColumn(["Peak memory", "1 GB", "–"], 6, left=False)]
    )

    assert table.splitlines() == [
        "          Peak",
        "Method  memory",
        "──────────────",
        "漢字      1 GB",
        "lora         –",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("as it is", ["as it is"]),
        ("between words it breaks", ["between", "words it", "breaks"]),
        ("a verylongword", ["a", "verylong", "word"]),
        ("漢字漢字漢", ["漢字漢字", "漢"]),
        ("", [""]),
    ],
)
def test_text_is_wrapped_at_words_and_wide_words_are_folded(text: str, lines: list[str]) -> None:
    assert wrapped(text, 8) == lines
