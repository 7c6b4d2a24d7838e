"""All output of the program: results on standard output; messages and progress on standard error."""

from mnasnet_cli.console.messages import begin, fail, print_traceback, say, visible, warn, warn_once
from mnasnet_cli.console.output import emit_json, emit_text, to_json
from mnasnet_cli.console.progress_report import ProgressReport, in_notebook, progress
from mnasnet_cli.console.quantities import duration, percent, plural, short_duration
from mnasnet_cli.console.tables import class_columns, print_table, print_transposed

__all__ = [
    "ProgressReport",
    "begin",
    "class_columns",
    "duration",
    "emit_json",
    "emit_text",
    "fail",
    "in_notebook",
    "percent",
    "plural",
    "print_table",
    "print_traceback",
    "print_transposed",
    "progress",
    "say",
    "short_duration",
    "to_json",
    "visible",
    "warn",
    "warn_once",
]
