"""The `mnasnet` program: finds the command, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import io
import keyword
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mnasnet_cli import __version__, console
from mnasnet_cli.errors import MnasnetError, StoppedByUser, nearest
from mnasnet_cli.system.tensorflow_notices import silence_tensorflow

# Each command, and its module in mnasnet_cli/commands, which is imported only when the command is called. The command
# is the function of the same name, with underscores; the function's docstring is the command's help.
COMMANDS = {
    "prepare-imagenet": "prepare",
    "prepare-coco": "prepare",
    "train-imagenet": "train",
    "train-coco": "train",
    "eval": "eval",
    "report": "report",
    "predict": "predict",
    "export": "export",
    "import": "import_",
    "benchmark": "benchmark",
    "inspect": "inspect",
    "models": "models",
    "doctor": "doctor",
    "demo": "demo",
}

BUG, BROKEN_PIPE, INTERRUPTED = 1, 141, 130  # the last two are 128 + SIGPIPE and 128 + SIGINT


class CommandGroup(TyperGroup):
    """The root command: loads commands lazily and has the error behaviour that all of them share."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command's module and make the command."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        if keyword.iskeyword(name):
            name += "_"
        module = importlib.import_module(f"mnasnet_cli.commands.{COMMANDS[cmd_name]}")
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(cmd_name)(getattr(module, name))
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; an unknown one is an error that names the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise MnasnetError(f"no command '{args[0]}'{nearest(args[0], COMMANDS) or '; see mnasnet --help'}")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line `args` and exit with the contract's code."""
        words, debug = _take_debug(sys.argv[1:] if args is None else list(args))
        if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be in another encoding; a terminal may be, too
            sys.stdout.reconfigure(errors="backslashreplace")
        if not debug:
            silence_tensorflow()
        extra["standalone_mode"] = False  # exceptions come here instead of being printed by Typer
        try:
            code = super().main(args=words, prog_name="mnasnet", **extra)
        except SystemExit as ended:  # Typer's way to say that the reader of our output has gone away
            code = BROKEN_PIPE if isinstance(ended.__context__, BrokenPipeError) else ended.code
        except Exception as error:
            if debug:
                console.say_exception(error)
            message, code = explain(error)
            console.fail(message)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; to be interrupted is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone away shows here rather than at interpreter exit
            return result
        except (KeyboardInterrupt, StoppedByUser) as stopped:
            console.say(str(stopped) or "interrupted")
            raise typer.Exit(INTERRUPTED) from None


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Take `--debug` out of the command line, wherever it stands before a "--"."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def explain(error: Exception) -> tuple[str, int]:
    """Return the line for the user and the exit code."""
    if isinstance(error, MnasnetError):
        return str(error), error.exit_code
    if isinstance(error, typer.TyperException):
        return _explain_usage(error), 2
    if isinstance(error, typer.Abort):
        return "aborted", INTERRUPTED
    if isinstance(error, MemoryError):
        return "out of memory; a smaller --batch-size, --image-size or --workers needs less", 2
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(("mnasnet_cli", "data_prep")):
        return f"the Python package that provides '{error.name}' is not installed; see mnasnet doctor", 2
    if isinstance(error, OSError) and error.errno is not None:
        return _explain_os_error(error), 2
    text = textwrap.shorten(str(error), 300, placeholder=" …")  # TensorFlow's can print whole tensors
    return f"internal error: {type(error).__name__}: {text}{_where(error)}; --debug shows the traceback", BUG


def _explain_usage(error: typer.TyperException) -> str:
    """Say what is wrong with the command line, with the nearest valid option."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    if hasattr(error, "possibilities"):  # an unknown option
        unknown = str(getattr(error, "option_name", ""))
        options = [name for param in context.command.params for name in param.opts if name.startswith("--")]
        message = f"no option '{unknown}'{nearest(unknown, options)}"
        if "did you mean" in message:
            return message
    return f"{message}; see {context.command_path} --help"


def _explain_os_error(error: OSError) -> str:
    """Say what the file system refused, and where."""
    reason = os.strerror(error.errno or 0).lower()
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes | os.PathLike) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}{reason}; free some, or choose a folder on another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}{reason}; choose another folder, or change its permissions"
    return f"{where}{reason}"


def _where(error: Exception) -> str:
    """Return " (in file.py:12)", the innermost line of our own code, for a report of a bug."""
    ours = Path(__file__).parent.parent
    place, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(ours / "mnasnet_cli") or file.is_relative_to(ours / "data_prep"):
            place = f" (in {file.relative_to(ours)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="mnasnet COMMAND --help explains a command. --debug, anywhere, shows an error's traceback.",
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Train, evaluate and ship MnasNet classifiers and detectors."""
    if version:
        typer.echo(f"mnasnet {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the program (the console entry point)."""
    app()
