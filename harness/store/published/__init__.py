"""Published numbers: what papers and repositories print of methods, as facts with their source.

The YAML files beside harness/report/published hold them, one file a source. Every database is given them when it is
made or upgraded (`renew`), and reads them back (`kept`). They are never mixed with our own results.
"""
