"""Published numbers: what papers and repositories print of methods, as facts with their source, and their oddities.

The YAML files beside this module hold them, one file a source. They are never mixed with our own results.
"""

from harness.report.published.doubts import doubts_of
from harness.report.published.read import publications, read_publication
from harness.report.published.records import Claim, Publication, PublishedRow, PublishedTable, Source

__all__ = [
    "Claim",
    "Publication",
    "PublishedRow",
    "PublishedTable",
    "Source",
    "doubts_of",
    "publications",
    "read_publication",
]
