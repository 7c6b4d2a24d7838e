"""Projects of VIA 3, in the form of those of VIA 2. Source: the code documentation of VIA 3, `_via_metadata.js`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_IMAGE = 2  # type of a file; the others are videos and sounds
_CHOICES = (2, 3, 4)  # types of attributes with options: checkbox, radio, select


def is_version_3(content: Any) -> bool:
    """Tell whether a JSON file holds a project of VIA 3."""
    return isinstance(content, dict) and all(isinstance(content.get(key), dict) for key in ("file", "metadata", "view"))


def to_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """Return a project in the form of version 2. Files other than images are left out."""
    images: dict[str, dict[str, Any]] = {
        key: {"filename": one.get("fname") or one.get("src"), "regions": []}
        for key, one in _dicts(content["file"])
        if one.get("type") == _IMAGE
    }
    attributes = dict(_dicts(content.get("attribute")))
    views = dict(_dicts(content["view"]))
    for _, region in _dicts(content["metadata"]):
        files = views.get(str(region.get("vid")), {}).get("fid_list")
        image = images.get(str(files[0])) if isinstance(files, list) and files else None
        shape = region.get("xy")
        if image is not None and isinstance(shape, list) and shape:  # without a shape, it is about the whole image
            own = {"shape_attributes": _shape(shape), "region_attributes": _values(region.get("av"), attributes)}
            image["regions"].append(own)
    options = {str(one.get("aname")): {"options": one.get("options")} for one in attributes.values()}
    return {"_via_img_metadata": images, "_via_attributes": {"region": options}}


def _dicts(value: Any) -> list[tuple[str, dict[str, Any]]]:
    items = value.items() if isinstance(value, dict) else ()
    return [(key, one) for key, one in items if isinstance(one, dict)]


def _values(values: Any, attributes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes of a region by name. Of attributes with options, the value holds the ids of the chosen."""
    found: dict[str, Any] = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        attribute = attributes.get(key, {})
        chosen = str(value).split(",") if attribute.get("type") in _CHOICES else [value]
        found[str(attribute.get("aname", key))] = dict.fromkeys(chosen, True) if len(chosen) > 1 else chosen[0]
    return found


def _named(name: str, *keys: str) -> Callable[[list[Any]], dict[str, Any]]:
    return lambda numbers: {"name": name, **dict(zip(keys, numbers, strict=False))}


def _points(numbers: list[Any]) -> dict[str, Any]:
    return {"name": "polygon", "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}


_SHAPES: dict[Any, Callable[[list[Any]], dict[str, Any]]] = {
    2: _named("rect", "x", "y", "width", "height"),
    3: _named("circle", "cx", "cy", "r"),
    4: _named("ellipse", "cx", "cy", "rx", "ry"),
    5: _points,  # a line
    6: _points,  # a polyline
    7: _points,  # a polygon
    8: _points,  # a rectangle by its extreme points
}


def _shape(numbers: list[Any]) -> dict[str, Any]:
    """Return a shape. In version 3 it is the number of its kind, and its coordinates. A point gets no name."""
    kind = numbers[0]
    make = _SHAPES.get(kind) if isinstance(kind, int) else None
    return make(numbers[1:]) if make else {}
