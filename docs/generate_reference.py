"""Writes docs/reference/commands.md, configuration.md and python.md from the program itself.

    python docs/generate_reference.py            write the pages
    python docs/generate_reference.py --check    exit with code 1 if a page differs from what would be written

Commands come from the Typer application, configuration keys from the fields and their docstrings, recipes from
`configs/`, the Python interface from its docstrings (`python_page.py`).
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from python_page import python_page

from mnasnet_cli.api.training import OPTION_KEYS
from mnasnet_cli.app import COMMANDS, app
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.recipes import shipped_configs
from mnasnet_cli.config.schema import Config
from mnasnet_cli.config.task_names import DATASETS, TaskName

FOLDER = Path(__file__).parent / "reference"
NOTE = (
    "<!-- Written by docs/generate_reference.py. Change the help texts or docstrings, then run `make reference`. -->\n"
)

COMMANDS_HEAD = """# Commands

A MODEL is a run directory, a checkpoint prefix (`runs/photos/checkpoints/ckpt-882`) or an exported artifact: a
SavedModel folder, a `.pb`, `.tflite` or `.onnx` file. The format is detected from the path.

Every command has `--help`. `--debug`, anywhere on the command line, shows the traceback of an error.
`mnasnet --version` prints the version. With `--json`, logs and progress go to standard error.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | internal error: a bug in mnasnet |
| 2 | error in the input, the options or the configuration |
| 3 | a check failed: parity of an export, or `--require` |
| 130 | interrupted by Ctrl-C |
| 143 | stopped by SIGTERM; a training has saved a checkpoint |
"""

CONFIGURATION_HEAD = """# Configuration

`--config` takes the name of a [recipe](recipes.md) or a YAML file. `--set section.key=value` sets one key. A key that
is not set has its default. An example of a file:

```yaml
training:
  epochs: 20
optimizer:
  name: sgd
  learning_rate_per_256: 0.1
```

`config.yaml` in a [run directory](run-directory.md) holds every key of a run. In the tables, `[` and `]` include a
bound, `(` and `)` exclude it.
"""


def commands_page() -> str:
    """Return the page of all commands with their arguments and options."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="mnasnet")
    commands = {name: group.get_command(context, name) for name in COMMANDS}
    rows = [
        (f"[`{name}`](#{name})", " ".join(_paragraphs(command.help)[0].split())) for name, command in commands.items()
    ]
    parts = [NOTE, COMMANDS_HEAD, _table(("command", "what it does"), rows)]
    parts += [_command_section(name, command) for name, command in commands.items()]
    return "\n".join(parts)


def _command_section(name: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    usage = " ".join(["mnasnet", name, "[OPTIONS]", *map(_argument_usage, arguments)])
    parts = [f"## {name}\n", "\n\n".join(_paragraphs(command.help)), f"\n```\n{usage}\n```\n"]
    if arguments:
        rows = [(_code(param.metavar), _default(param), _plain(param.help)) for param in arguments]
        parts.append(_table(("argument", "default", "meaning"), rows))
    keys = OPTION_KEYS if name.startswith("train-") else {}
    option_rows = []
    for param in options:
        key = keys.get(param.name)
        default = f"the recipe's [`{key}`](configuration.md#{key.split('.')[0]})" if key else _default(param)
        option_rows.append((_option_usage(param), default, _plain(param.help)))
    parts.append(_table(("option", "default", "meaning"), option_rows))
    return "\n".join(parts)


def _argument_usage(param: Any) -> str:
    text = param.metavar + ("…" if param.nargs == -1 else "")
    return text if param.required else f"[{text}]"


def _option_usage(param: Any) -> str:
    names = [*param.opts, *param.secondary_opts]
    return " ".join(_code(name if param.is_flag else f"{name} {param.metavar}") for name in names)


def _default(param: Any) -> str:
    """Return the default as --help shows it; "" for none and for a flag that is off."""
    if isinstance(param.show_default, str):
        return str(param.show_default)
    if param.default is None or param.default is False:
        return "required" if param.required else ""
    if param.default is True:
        return _code(param.opts[0])
    return _code(str(param.default))


def configuration_page() -> str:
    """Return the page of all configuration keys, and of the keys that each recipe sets."""
    schema = Config.model_json_schema()
    top = {name: field for name, field in schema["properties"].items() if not _section_of(field, schema)}
    parts = [NOTE, CONFIGURATION_HEAD, "## Top level\n", _keys_table("", top)]
    for key, section in _sections(schema, schema):
        own = {name: field for name, field in section["properties"].items() if not _section_of(field, schema)}
        parts += [f"## {key}\n", f"{section['description']}\n", _keys_table(key, own)]
    parts += ["## What the recipes set\n", "An empty cell stands for the default.\n"]
    for task in DATASETS:
        parts += [f"### {task.capitalize()}\n", _recipes_table(task)]
    return "\n".join(parts)


def _sections(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the JSON schema of every section, each before the sections inside it."""
    for name, field in node["properties"].items():
        section = _section_of(field, schema)
        if section is not None:
            yield f"{prefix}{name}", section
            yield from _sections(section, schema, f"{prefix}{name}.")
        elif "$ref" in field.get("items", ()):
            yield f"{prefix}{name}[]", _section_of(field["items"], schema)


def _section_of(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Return the JSON schema of the section that a field holds, or None if it holds a value."""
    for choice in (field, *field.get("anyOf", ())):
        if "$ref" in choice:
            return schema["$defs"][choice["$ref"].rpartition("/")[2]]
    return None


def _keys_table(section: str, fields: Mapping[str, Any]) -> str:
    prefix = f"{section}." if section else ""
    rows = [
        (
            _code(f"{prefix}{name}"),
            _type(field),
            _code(_value(field["default"])) if "default" in field else "required",
            " ".join(field["description"].split()),
        )
        for name, field in fields.items()
    ]
    return _table(("key", "type", "default", "meaning"), rows)


def _type(field: Mapping[str, Any]) -> str:
    """Return a field's type and bounds in words, e.g. "integer ≥ 1" or "number in [0, 1)"."""
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "const" in field:
        return _code(field["const"])
    if "enum" in field:
        *others, last = map(_code, field["enum"])
        return f"{', '.join(others)} or {last}"
    if "prefixItems" in field:
        item = field["prefixItems"][0]
        return f"list of {len(field['prefixItems'])} {item['type']}s{_bounds(item)}"
    if "$ref" in field.get("items", ()):
        return "list of sections"
    if field["type"] == "array":
        return f"list of lists of {len(field['items']['prefixItems'])} numbers"
    return field["type"] + _bounds(field)


def _bounds(field: Mapping[str, Any]) -> str:
    """Return the bounds of a number: " in [0, 1)", " ≥ 1", or ""."""
    low, high = (field.get(name, field.get(f"exclusive{name.title()}")) for name in ("minimum", "maximum"))
    open_low, open_high = "exclusiveMinimum" in field, "exclusiveMaximum" in field
    if low is not None and high is not None:
        return f" in {'(' if open_low else '['}{_value(low)}, {_value(high)}{')' if open_high else ']'}"
    return "" if low is None else f" {'>' if open_low else '≥'} {_value(low)}"


def _recipes_table(task: TaskName) -> str:
    names = shipped_configs(task)
    recipes = [dict(_leaves(load_config(name, task=task).model_dump(exclude_unset=True))) for name in names]
    defaults = dict(_leaves(Config(task=task).model_dump()))
    keys = [key for key in defaults if "." in key and any(key in recipe for recipe in recipes)]
    rows = [(_code(key), *(_value(recipe[key]) if key in recipe else "" for recipe in recipes)) for key in keys]
    return _table(("key", *map(_code, names)), rows)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _value(value: Any) -> str:
    """Return a value as YAML has it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a docstring, each wrapped for the page."""
    wrap = textwrap.TextWrapper(width=120, break_long_words=False, break_on_hyphens=False)
    return [wrap.fill(_plain(paragraph)) for paragraph in text.split("\n\n")]


def _plain(text: str) -> str:
    """Return text in which Markdown finds no HTML tag and no emphasis, e.g. in "train/<class>/*"."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def _code(text: str) -> str:
    """Return inline code. A | would end a table's cell, and is written so that every Markdown reader shows it."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main(arguments: Sequence[str]) -> int:
    """Write or check the pages, and return the exit code."""
    status = 0
    pages = {"commands.md": commands_page(), "configuration.md": configuration_page()}
    for name, text in {**pages, "python.md": f"{NOTE}\n{python_page()}"}.items():
        path = FOLDER / name
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what the program says; run `make reference`", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
