"""`harness proxy`: the fault proxy without a run."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def proxy(arguments: tuple[str, ...]) -> int:
    """Run the fault proxy on its own."""
    from harness.proxy.server import main

    try:
        return main(list(arguments))
    except SystemExit as end:  # how its argument parser ends
        return end.code if isinstance(end.code, int) else 0
