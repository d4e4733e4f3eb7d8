"""What every command answers with `--json`: the shape of each document, from which its schema is generated.

The commands write plain dicts; these nouns say what is in them. A test runs every command and holds the two together.
"""
