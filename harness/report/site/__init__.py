"""The HTML site: pages that open from disk, with everything they show inside them.

`write_site` is the entrance. Pages are made by Jinja with autoescape; what scripts read stands as JSON in the page.
"""
