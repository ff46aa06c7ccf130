"""All commands."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.exceptions import TyperException

from sdtui import __version__
from sdtui.cli import engine, history, models, open_studio
from sdtui.cli.bench import bench
from sdtui.cli.compress import compress
from sdtui.cli.convert import convert
from sdtui.cli.convert_options import ConvertCommand
from sdtui.cli.doctor import doctor
from sdtui.cli.errors import CommandLineError
from sdtui.cli.generate import generate
from sdtui.errors import SdtuiError
from sdtui.settings import TerminalImages

app = typer.Typer(
    help="A terminal studio for Stable Diffusion on Core ML. Without a command, it opens.",
    add_completion=False,
    rich_markup_mode=None,
)
app.command()(generate)
app.command(cls=ConvertCommand)(convert)
app.command()(compress)
app.command()(bench)
app.command()(doctor)
app.add_typer(models.app, name="models")
app.add_typer(history.app, name="history")
app.add_typer(engine.app, name="engine")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sdtui {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def sdtui(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
    terminal_images: Annotated[
        TerminalImages | None,
        typer.Option("--terminal-images", help="How the studio shows pictures (default: as it can)."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001
) -> int | None:
    """A terminal studio for Stable Diffusion on Core ML. Without a command, it opens."""
    return open_studio(terminal_images) if context.invoked_subcommand is None else None


def run_command(words: list[str]) -> int:
    """Run the command that ``words`` spell; returns its exit code. Raises SdtuiError."""
    try:
        code = typer.main.get_command(app).main(words, prog_name="sdtui", standalone_mode=False)
    except TyperException as error:
        raise _explained(error) from error
    return code if isinstance(code, int) else 0


def _explained(error: TyperException) -> SdtuiError:
    """Typer's complaint in our words: what, why, what to do."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sdtui"
    why = error.format_message().rstrip(".")
    return CommandLineError("the command line is wrong", why[:1].lower() + why[1:], f"see `{command} --help`")
