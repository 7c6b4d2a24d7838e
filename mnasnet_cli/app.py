"""The `mnasnet` program: runs a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import ast
import contextlib
import errno
import gc
import importlib
import io
import keyword
import os
import pkgutil
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from mnasnet_cli import __version__, console
from mnasnet_cli.errors import MnasnetError, StoppedByUser, nearest, os_error_reason
from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

# Command → module in mnasnet_cli/commands, which is imported when the command is called. The command is the function of
# the same name with underscores, and the function's docstring is the command's help.
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
    "card": "card",
    "runs": "runs",
    "search": "search",
    "models": "models",
    "doctor": "doctor",
    "demo": "demo",
}

# An example for the help of each command.
EXAMPLES = {
    "prepare-imagenet": "prepare-imagenet photos data/photos",
    "prepare-coco": "prepare-coco boxes.zip data/boxes",
    "train-imagenet": "train-imagenet --config quick --data data/photos --run-dir runs/photos",
    "train-coco": "train-coco --config lite --backbone runs/photos --data data/boxes --run-dir runs/boxes",
    "eval": "eval runs/photos --data data/photos --plots plots",
    "report": "report found.json instances_val2017.json",
    "predict": "predict runs/photos picture.jpg --out drawn",
    "export": "export runs/photos --data data/photos --format tflite --format onnx",
    "import": "import timm/mnasnet_100.rmsp_in1k models/b1",
    "benchmark": "benchmark runs/photos b1 small",
    "inspect": "inspect data/photos --health --images 16",
    "models": "models --width 0.5",
    "doctor": "doctor",
    "demo": "demo",
    "card": "card runs/photos --data data/photos",
    "runs": "runs --format html --out runs.html",
    "search": "search --data data/photos --latency 3ms --budget 4h --run-dir runs/search",
}

# What other programs call a command, and what it is here.
SYNONYMS = {
    "help": "mnasnet --help", "version": "mnasnet --version", "commands": "mnasnet --help",
    "train": "mnasnet train-imagenet or mnasnet train-coco", "fit": "mnasnet train-imagenet or mnasnet train-coco",
    "finetune": "mnasnet train-imagenet --config finetune --init MODEL",
    "resume": "mnasnet train-imagenet or mnasnet train-coco, which continue a run",
    "prepare": "mnasnet prepare-imagenet or mnasnet prepare-coco",
    "convert": "mnasnet export, or mnasnet import for the weights of others",
    "data": "mnasnet prepare-imagenet or mnasnet prepare-coco",
    "val": "mnasnet eval", "validate": "mnasnet eval", "evaluate": "mnasnet eval", "test": "mnasnet eval",
    "score": "mnasnet eval", "predict-image": "mnasnet predict", "infer": "mnasnet predict",
    "inference": "mnasnet predict", "classify": "mnasnet predict", "detect": "mnasnet predict",
    "info": "mnasnet inspect", "show": "mnasnet inspect", "summary": "mnasnet inspect",
    "health": "mnasnet inspect DATA --health",
    "list": "mnasnet models", "zoo": "mnasnet models", "download": "mnasnet import NAME OUT",
    "bench": "mnasnet benchmark", "speed": "mnasnet benchmark", "latency": "mnasnet benchmark",
    "profile": "mnasnet benchmark", "check": "mnasnet doctor", "checks": "mnasnet doctor", "env": "mnasnet doctor",
}  # fmt: skip

# What Python and C++ say where a limit of memory or of processes allows no thread.
NO_THREAD = ("can't start new thread", "Resource temporarily unavailable")

EXIT_BUG, EXIT_BROKEN_PIPE, EXIT_INTERRUPTED = 1, 141, 130  # 128 + SIGPIPE, 128 + SIGINT


def _without_types(params: list[Any]) -> list[Any]:
    """Let the help show types only where a value follows, not "<bool>" at a flag or "<list[str]>" at an argument."""
    for param in params:
        if param.param_type_name == "argument" or getattr(param, "is_flag", False):
            param.display_type_rich = lambda ctx: None
    return params


class _Command(TyperCommand):
    """A command. Its help leaves line breaks to the terminal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        paragraphs = (self.help or "").split("\n\n")
        self.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments."""
        return _without_types(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """The root command. It imports commands when they are called, and handles the errors of all."""

    _lists_commands = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help. It imports no command: all of them take half a second."""
        self._lists_commands = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._lists_commands = False

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the program itself."""
        return _without_types(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a command and return the command. For the list of commands its help is enough."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        if keyword.iskeyword(name):
            name += "_"
        if self._lists_commands:
            return _Command(cmd_name, help=_help_in_source(COMMANDS[cmd_name], name))
        module = importlib.import_module(f"mnasnet_cli.commands.{COMMANDS[cmd_name]}")
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        example = f"Example: mnasnet {EXAMPLES[cmd_name]}" if cmd_name in EXAMPLES else None
        single.command(cmd_name, cls=_Command, epilog=example)(getattr(module, name))
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command. Raises MnasnetError with the most similar name if there is no such command."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise MnasnetError(f"no command '{args[0]}'{_hint(args[0])}")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line `args` and exit with the exit code."""
        words, debug = split_debug(sys.argv[1:] if args is None else list(args))
        if isinstance(sys.stdout, io.TextIOWrapper):  # for file names that the terminal cannot show
            sys.stdout.reconfigure(errors="backslashreplace")
        prepare_tensorflow(notices=debug)
        extra["standalone_mode"] = False  # Typer raises exceptions instead of printing them
        try:
            code = super().main(args=words, prog_name="mnasnet", **extra)
        except SystemExit as ended:  # Typer raises this if the reader of a pipe has closed it
            code = EXIT_BROKEN_PIPE if isinstance(ended.__context__, BrokenPipeError) else ended.code
        except Exception as error:
            if debug:
                console.print_traceback(error)
            if _follows_interrupt(error):
                console.say("interrupted")
                code = EXIT_INTERRUPTED
            else:
                message, code = explain(error)
                console.fail(message)
        _give_up_broken_output()
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Ctrl-C is not an error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe raises here, not when the interpreter exits
            return result
        except (KeyboardInterrupt, StoppedByUser) as stopped:
            console.say(str(stopped) or "interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None


def _help_in_source(module: str, function: str) -> str | None:
    """Return the docstring of a function in mnasnet_cli/commands, which is read but not imported."""
    source = pkgutil.get_data("mnasnet_cli.commands", f"{module}.py") or b""
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return next(ast.get_docstring(node) for node in functions if node.name == function)


def _follows_interrupt(error: BaseException | None) -> bool:
    """Return whether a library raised this error while Ctrl-C unwound it, as TensorFlow's variable scopes do."""
    if isinstance(error, MnasnetError):
        return False
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _hint(word: str) -> str:
    """Return the end of the message about an unknown command: what it is called here, or the most similar name."""
    known = SYNONYMS.get(word.lower())
    return f"; use {known}" if known else nearest(word, COMMANDS) or "; see mnasnet --help"


def split_debug(words: list[str]) -> tuple[list[str], bool]:
    """Return the command line without `--debug`, and whether it had it. Words after a "--" are not options."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def explain(error: Exception) -> tuple[str, int]:
    """Return the message for an error and the exit code."""
    if isinstance(error, MnasnetError):
        return str(error), error.exit_code
    if isinstance(error, typer.TyperException):
        return _explain_usage(error), 2
    if isinstance(error, typer.Abort):
        return "aborted", EXIT_INTERRUPTED
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller --batch-size, --image-size or --workers", 2
    if isinstance(error, RuntimeError) and str(error) in NO_THREAD:
        return f"{str(error).lower()}; raise the limits of memory (ulimit -v) and processes (ulimit -u)", 2
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(("mnasnet_cli", "data_prep")):
        return f"the Python package that provides '{error.name}' is not installed; see mnasnet doctor", 2
    library = re.fullmatch(r"(\S+\.so[\w.]*): (.+)", str(error)) if isinstance(error, ImportError) else None
    if library:  # the loader of the system: no memory, a damaged or a missing file
        return f"the library {library[1]} cannot be loaded: {library[2]}; free some memory, or see mnasnet doctor", 2
    if isinstance(error, OSError) and error.errno is not None:
        return _explain_os_error(error), 2
    text = textwrap.shorten(str(error), 300, placeholder=" …")  # errors of TensorFlow may contain large tensors
    return f"internal error: {type(error).__name__}: {text}{_location(error)}; --debug shows the traceback", EXIT_BUG


def _explain_usage(error: typer.TyperException) -> str:
    """Return the message for an invalid command line, with the most similar option."""
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    message = re.sub(r"Input should be (a valid (integer|number)),.*", r"expected \1", message)
    message = message.replace("Input should", "it should")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    value = re.search(r"'([^']*)' is not one of (.*)", message)
    if value:  # of an option with a few values
        return message + nearest(value[1], re.findall(r"'([^']+)'", value[2]))
    if hasattr(error, "possibilities"):  # an unknown option
        unknown = str(getattr(error, "option_name", ""))
        options = [name for param in context.command.params for name in param.opts if name.startswith("--")]
        message = f"no option '{unknown}'{nearest(unknown, options)}"
        if "did you mean" in message:
            return message
    return f"{message}; see {context.command_path} --help"


def _explain_os_error(error: OSError) -> str:
    """Return the message for an error of the file system."""
    reason = os_error_reason(error)
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes | os.PathLike) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}{reason}; free some disk space, or choose a folder on another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}{reason}; choose another folder, or change its permissions"
    return f"{where}{reason}"


def _location(error: Exception) -> str:
    """Return " (in file.py:12)" with the innermost line of our code, for a bug report."""
    root = Path(__file__).parent.parent
    location, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(root / "mnasnet_cli") or file.is_relative_to(root / "data_prep"):
            location = f" (in {file.relative_to(root)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return location


app = typer.Typer(
    cls=CommandGroup,
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


def _open_closed_streams() -> None:
    """Let standard streams that were closed (`>&-`) lead nowhere.

    Otherwise the next file that is opened gets the number of such a stream, and output of libraries goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _give_up_broken_output() -> None:
    """Drop what could not be written to standard output: Python would try again at its end, and print a traceback."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the program (the console entry point)."""
    _open_closed_streams()
    try:
        app()
    finally:
        gc.freeze()  # else Python looks through all objects at its end: seconds, once TensorFlow was imported
