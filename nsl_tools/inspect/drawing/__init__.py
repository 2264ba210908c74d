"""Pictures of tables as SVG.

By hand: each is under a hundred lines, and a library would be a dependency of data tools that need
none to do their work, and would bring scripts or fonts, which a page that stands alone must not.
"""
