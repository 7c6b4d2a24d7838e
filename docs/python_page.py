"""The page docs/reference/python.md, from the signatures and docstrings of the Python interface."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import mnasnet_cli as mnasnet
from mnasnet_cli.prediction.images import UnreadableInput
from mnasnet_cli.prediction.results import Box, ScoredClass

HEAD = """# Python

```python
import mnasnet_cli as mnasnet

mnasnet.prepare("photos", "data/photos")
trained = mnasnet.train("quick", data="data/photos", run_dir="runs/photos", variant="b1", epochs=20)
model = trained.model(best=True)
for prediction in model.predict("holiday/*.jpg"):
    print(prediction.file, prediction.name, prediction.score)
model.export("tflite", data="data/photos")
```

The commands call these functions, so the results are the same. The import takes a tenth of a second. TensorFlow is
imported when it is needed first, without its messages. The package is typed. Errors are subclasses of
`mnasnet.MnasnetError`; the message says what was found, what was expected and what to do next. Messages and progress go
to standard error; in a notebook, progress is one line that changes. [The notebook](../tutorials/notebook.md) goes from
pictures to a TFLite file.
"""

HEADINGS = {"Args": "Arguments"}
FUNCTIONS = (mnasnet.load, mnasnet.train, mnasnet.prepare, mnasnet.search, mnasnet.models)
CLASSES = (mnasnet.Model, mnasnet.Prediction, ScoredClass, Box, UnreadableInput, mnasnet.Explanation,
           mnasnet.TrainedRun, mnasnet.FoundNets)  # fmt: skip


def python_page() -> str:
    """Return the page of the Python interface."""
    parts = [HEAD]
    for function in FUNCTIONS:
        parts += [f"## {function.__name__}\n", _signature(f"mnasnet.{function.__name__}", function), _text(function)]
    for kind in CLASSES:
        parts += [f"## {kind.__name__}\n", _text(kind), _attributes(kind)]
        for name, method in _methods(kind):
            parts += [f"### {kind.__name__}.{name}\n", _signature(name, method), _text(method)]
    return "\n".join(part for part in parts if part)


def _methods(kind: type) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_")


def _signature(name: str, function: Any) -> str:
    """Return a call with the parameters, their types and their defaults, one a line if they are many."""
    parameters, separated = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not separated:
            parameters.append("*")
            separated = True
        parameters.append(_parameter(parameter))
    line = f"{name}({', '.join(parameters)})"
    if len(line) > 100:
        line = f"{name}(\n{''.join(f'    {one},{chr(10)}' for one in parameters)})"
    returned = inspect.signature(function).return_annotation
    return f"```python\n{line} -> {str(returned).strip(chr(39))}\n```\n"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}".replace("'", '"')
    return f"{stars}{parameter.name}: {parameter.annotation}{default}"


def _attributes(kind: type) -> str:
    """Return the table of the fields and properties of a class, with their docstrings."""
    rows = [*_field_rows(kind)]
    for name, value in vars(kind).items():
        if isinstance(value, property) or hasattr(value, "attrname"):  # attrname: of a cached property
            function = value.fget if isinstance(value, property) else value.func
            rows.append((name, function.__annotations__["return"], value.__doc__ or ""))
    if not rows:
        return ""
    cells = (f"| `{name}` | `{str(type_).replace('|', 'or')}` | {_line(text)} |\n" for name, type_, text in rows)
    return "| attribute | type | meaning |\n| --- | --- | --- |\n" + "".join(cells)


def _field_rows(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and docstring of the documented attributes of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    bodies = [node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    types = {field.name: str(field.type) for field in fields}
    told = {}
    for body in [tree.body, *bodies]:
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(after, ast.Expr):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                told[ast.unparse(target).removeprefix("self.")] = ast.literal_eval(after.value)
    for name in types or told:
        yield name, types.get(name, "str"), told.get(name, "")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


def _text(documented: Any) -> str:
    """Return a docstring as Markdown: its sections become lists, its examples code."""
    lines = inspect.cleandoc(documented.__doc__).splitlines()
    blocks = re.split(r"\n\n|\n(?=(?:Args|Returns|Yields|Raises|Attributes):\n)", "\n".join(lines))
    return "\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    section = re.match(r"(Args|Returns|Yields|Raises|Attributes):\n", block)
    if block.startswith(">>>"):
        return f"```python\n{block}\n```\n"
    if section is None:
        return textwrap.fill(_line(block), 120, break_long_words=False, break_on_hyphens=False) + "\n"
    inner = textwrap.dedent(block[section.end() :])
    if section[1] in ("Returns", "Yields"):
        text = f"**{section[1]}** {_line(inner)}"
        return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"
    entries = [_line(entry) for entry in re.split(r"\n(?=\S)", inner)]
    items = (re.sub(r"^([\w, ]+):", lambda match: f"- {_names(match[1])}:", entry) for entry in entries)
    return (
        f"**{HEADINGS.get(section[1], section[1])}**\n\n"
        + "\n".join(
            textwrap.fill(item, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            for item in items
        )
        + "\n"
    )


def _names(names: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in names.split(","))
