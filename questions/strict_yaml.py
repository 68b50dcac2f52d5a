"""YAML as plain data: mappings, lists and scalars with the line of each, and nothing that YAML can do beyond that."""

from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_DEPTH = 8

# The C version where PyYAML was built with libyaml: ten times faster, same results.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path_ = tuple[str | int, ...]


class YamlProblem(Exception):
    """A file that is not plain YAML data. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """Plain data read from one YAML file, with the line of each path in it."""

    data: Any
    lines: dict[Path_, int] = field(default_factory=dict)

    def line_of(self, path: Path_) -> int:
        """The line of the path, or of the nearest thing around it that exists in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}


def read_yaml(text: str, limit: int) -> Document:
    """Read one document of mappings, lists and scalars.

    Aliases, anchors, merge keys, tags, duplicate keys, more than one document, nesting deeper than MAX_DEPTH and
    texts over `limit` bytes raise YamlProblem before anything is built, so a hostile file costs next to nothing.
    """
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        raise YamlProblem(1, f"The file is over {limit:,} bytes. Shorten it or split it.")
    try:
        _refuse_beyond_plain_data(text)
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlProblem(line, f"This is not valid YAML ({error.problem}). Check indentation and quotes.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlProblem(1, f"This cannot be read as YAML ({error}). Remove control characters.") from error
    if node is None:
        raise YamlProblem(1, "The file is empty. Fill it or delete it.")
    document = Document(None)
    document.data = _build(node, (), document.lines)
    return document


def _refuse_beyond_plain_data(text: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlProblem(line, "Anchors and aliases are not allowed. Write the value out.")
        if tag := getattr(event, "tag", None):
            raise YamlProblem(line, f"The tag {tag} is not allowed. Write plain text, numbers, lists.")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise YamlProblem(line, "There is a second document. Use one file for each question.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YamlProblem(line, f"The nesting is deeper than {MAX_DEPTH} levels. Flatten it.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _build(node: yaml.Node, path: Path_, lines: dict[Path_, int]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*path, index), lines) for index, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise YamlProblem(line, "Merge keys (<<) are not allowed. Write the fields out.")
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlProblem(line, "A field name must be plain text.")
            key = _scalar(key_node)
            if key in mapping:
                raise YamlProblem(line, f"The field {key!r} stands here twice. Delete one of them.")
            mapping[key] = _build(value_node, (*path, key), lines)
            lines[(*path, key)] = line
        return mapping
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag not in _SCALARS:
        raise YamlProblem(node.start_mark.line + 1, f"The value {node.value!r} is not plain data. Put it in quotes.")
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError) as error:
        raise YamlProblem(node.start_mark.line + 1, f"{node.value!r} is not a valid value ({error}).") from error
