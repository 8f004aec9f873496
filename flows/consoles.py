"""Where the command line writes: messages to stderr, what was asked for to stdout."""

from rich.console import Console

# A file may be named `op [2].mp4`, which rich would take for markup.
screen = Console(stderr=True, markup=False, emoji=False, highlight=False)
output = Console(markup=False, emoji=False, highlight=False)
if not output.is_terminal:
    # In a file or a pipe, tables are as wide as what is in them.
    output.width = 10_000
