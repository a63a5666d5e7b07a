"""A YAML document as configuration holds it: no key twice, and no nesting that exhausts the stack.

PyYAML keeps the last of two equal keys, so half of a policy could be gone without a word.
"""

from typing import Any

import yaml


class InvalidYaml(ValueError):
    """The text is no such document; the message names the line and the fix."""


def compose(text: str) -> yaml.Node | None:
    """The node of a document; None for an empty one.

    Raises:
        InvalidYaml: the text is not YAML, has a key twice, or is nested too deeply.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_keys(node, set())
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidYaml(f"not YAML: {where}{error.problem}; fix it there") from None
    except yaml.YAMLError as error:
        raise InvalidYaml(f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InvalidYaml("nested too deeply; a handful of levels is enough") from None
    return node


def load(text: str) -> Any:
    """The content of a document, as YAML 1.1 reads it.

    Raises:
        InvalidYaml: as of `compose`, or a value is none, such as a day that no month has.
    """
    node = compose(text)
    try:
        return None if node is None else yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidYaml(f"not YAML: {' '.join(str(error).split())}") from None


def _check_keys(node: yaml.Node | None, checked: set[int]) -> None:
    # An alias makes one node part of many.
    if not isinstance(node, yaml.CollectionNode) or id(node) in checked:
        return
    checked.add(id(node))
    if isinstance(node, yaml.MappingNode):
        _check_mapping(node)
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            _check_keys(part, checked)


def _check_mapping(node: yaml.MappingNode) -> None:
    seen = set[str]()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InvalidYaml(f"line {line}: a key must be text; put it in quotes")
        if key.value in seen:
            raise InvalidYaml(f"line {line}: the key {key.value!r} is there twice; keep one of them")
        seen.add(key.value)
