"""The command line's part about official checkpoints: `scopeline weights`."""

import json
from typing import Annotated, Any

import typer
from rich.progress import Progress

from flows.commands.options import JsonOption
from flows.complaints import complain
from flows.consoles import screen

weights_app = typer.Typer(
    help="Official SAM-2.1 checkpoints.",
    epilog="Example: `scopeline weights pull sam2.1_hiera_tiny`",
    no_args_is_help=True,
)


@weights_app.command("list", epilog="Example: `scopeline weights list`")
def weights_list(as_json: JsonOption = False) -> None:
    """List the official checkpoints, and which of them are on this machine."""
    from tracking.official_checkpoints import CHECKPOINTS, checkpoint_path

    rows: list[dict[str, Any]] = [
        {
            "name": checkpoint.name,
            "size_bytes": checkpoint.size_bytes,
            "pulled": checkpoint_path(checkpoint).is_file(),
            "url": checkpoint.url,
        }
        for checkpoint in CHECKPOINTS.values()
    ]
    if as_json:
        typer.echo(json.dumps({"checkpoints": rows}, indent=2))
        return
    for row in rows:
        mark = "pulled" if row["pulled"] else "not pulled"
        typer.echo(f"{row['name']:24} {row['size_bytes'] / 1e6:7.1f} MB  {mark}")


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="See `scopeline weights list`.")]


@weights_app.command("pull", epilog="Example: `scopeline weights pull sam2.1_hiera_tiny`")
def weights_pull(name: NameArgument) -> None:
    """Download a checkpoint; a download that was cut off goes on."""
    from tracking.official_checkpoints import (
        checkpoint_path,
        find_checkpoint,
        pull_checkpoint,
        verify_checkpoint,
    )

    checkpoint = find_checkpoint(name)
    path = checkpoint_path(checkpoint)
    if path.is_file():
        # It may have been copied there, or damaged since.
        verify_checkpoint(checkpoint, path)
    else:
        with Progress(console=screen) as progress:
            bar = progress.add_task(name, total=checkpoint.size_bytes)
            pull_checkpoint(checkpoint, path, lambda done: progress.update(bar, completed=done))
    screen.print(str(path), soft_wrap=True)


@weights_app.command(
    "verify",
    epilog="Example: `scopeline weights verify`  \n"
    "Example: `scopeline weights verify sam2.1_hiera_tiny`",
)
def weights_verify(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Without it, all that are pulled.")
    ] = None,
) -> None:
    """Check size and hash of pulled checkpoints; one that differs does not stop the others."""
    from pipeline.errors import ModelError
    from tracking.official_checkpoints import (
        CHECKPOINTS,
        checkpoint_path,
        find_checkpoint,
        verify_checkpoint,
    )

    pulled = [each for each in CHECKPOINTS.values() if checkpoint_path(each).is_file()]
    wanted = pulled if name is None else [find_checkpoint(name)]
    if not wanted:
        raise ModelError("no checkpoint is pulled; run `scopeline weights pull NAME`")
    differs = False
    for checkpoint in wanted:
        path = checkpoint_path(checkpoint)
        try:
            verify_checkpoint(checkpoint, path)
        except ModelError as error:
            complain(error)
            differs = True
        else:
            screen.print(f"{path} is {checkpoint.name}", soft_wrap=True)
    if differs:
        raise typer.Exit(1)
