"""Proving on the embedded model that methods do what their files promise."""
