"""Published numbers beside ours: which rows ask the same, how far they are apart, where the recipes differ.

The YAML files beside this module hold them, one file a source; a database is given them when it is made or upgraded.
"""
