"""Parse untrusted YAML into dataclasses. Unknown keys, missing keys and values of the wrong type are errors."""

import dataclasses
import json
import re
import reprlib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

from ..errors import ConfigError

T = TypeVar("T")

_MAX_BYTES = 64 * 1024
_TYPES: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def read_json(path: Path, kind: type[T]) -> T:
    """A JSON file of this package as the dataclass `kind`. Unlike `read_yaml`, it does not import PyYAML, which is slow."""
    return _section(kind, json.loads(path.read_text("utf-8")), "")


def read_yaml(path: Path, kind: type[T]) -> T:
    """A YAML file (or JSON, which is YAML) as the dataclass `kind`, with nested dataclasses.

    A field is int, float, str, bool, a dataclass, `list[X]`, `tuple[X, ...]`, `X | None`, or `dict[str, str]` with single
    characters as keys. A field with a default is optional.

    Raises:
        ConfigError: the first error, with its dotted key. The caller adds the name of the file.
    """
    with open(path, "rb") as stream:
        content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"longer than {_MAX_BYTES // 1024} KB; is this a model's config?")
    return _section(kind, _parse(content), "")


def _parse(content: bytes) -> Any:
    """Parse the content of a YAML file."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):  # a few aliases can expand to terabytes
                raise ConfigError("aliases (*name) are not allowed; write the values out")
            return super().compose_node(parent, index)

    try:
        return yaml.load(content.decode("utf-8-sig"), Loader)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ConfigError(f"not YAML: {error.problem}{line}; correct it") from None
    except Exception as error:  # PyYAML also raises ValueError, IndexError, KeyError, RecursionError ...
        raise ConfigError(f"not YAML that can be read ({type(error).__name__}); is this a model's config?") from None


def show(value: Any) -> str:
    """`value` as text for a message: short, even if the value is long or deeply nested."""
    return reprlib.repr(value)


def join_with_or(names: Iterable[str]) -> str:
    """ "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def similar_names(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most similar to `name`, the most similar first; at most `count`."""
    from difflib import get_close_matches

    return get_close_matches(name, names, count, 0.5)


def _section(kind: type[T], data: Any, key: str) -> T:
    """The dataclass `kind` from a mapping; `key` is the dotted key of the mapping in the file."""
    if not isinstance(data, dict):
        raise ConfigError(f"{key or 'the file'}: must be a section of keys and values, not {show(data)}")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    prefix = key and key + "."
    for name in data:
        if name not in fields:
            similar = similar_names(str(name), fields, 1)
            advice = f"did you mean {similar[0]}?" if similar else f"remove it, or use {join_with_or(fields)}"
            raise ConfigError(f"{prefix}{show(str(name))[1:-1]}: no such key; {advice}")
    for name, field in fields.items():
        if name not in data and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{prefix}{name}: missing; add {_TYPES.get(field.type, 'it')}")
    return kind(**{name: _value(fields[name].type, value, prefix + name) for name, value in data.items()})


def _value(kind: Any, value: Any, key: str) -> Any:
    if isinstance(kind, types.UnionType):  # X | None
        return None if value is None else _value(get_args(kind)[0], value, key)
    if dataclasses.is_dataclass(kind):
        return _section(cast("type[Any]", kind), value, key)
    if get_origin(kind) in (list, tuple):
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{key}: must be a list, such as [1, 2], not {show(value)}")
        return get_origin(kind)(_value(get_args(kind)[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if get_origin(kind) is dict:
        pairs = value.items() if isinstance(value, dict) else [(None, None)]
        if not all(isinstance(old, str) and len(old) == 1 and isinstance(new, str) for old, new in pairs):
            raise ConfigError(f"{key}: must be single characters with their replacements, in quotes, not {show(value)}")
        return value
    if isinstance(value, str) and kind in (int, float) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        value = float(value)  # YAML reads 1e-4 as text
    if kind is float and type(value) is int and abs(value) < 1e300:
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind or kind is str and not (value and value.isprintable()):
        raise ConfigError(f"{key}: must be {_TYPES[kind]}, not {show(value)}")
    return value
