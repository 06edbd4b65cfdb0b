"""What outcomes per seed and item prove about methods: intervals, comparisons, groups, and what would settle the rest.

Plain arrays in, records out; nothing here knows of the store. The model and its sources stand in docs/statistics.md.
"""
