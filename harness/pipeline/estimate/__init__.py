"""What a run will cost: tokens, floating-point operations, memory and time, before anything is loaded.

All of it is estimated from shapes and from what is recorded; what can't be known is None. docs/estimates.md says how
far the estimates were off.
"""
