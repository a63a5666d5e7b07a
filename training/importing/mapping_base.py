"""The base of mapping files: YAML read without guessing, text written as text, and parts that check their keys.

YAML 1.1 reads an unquoted `yes`, `1`, `1.5` or `2018-12-31` as something other than text. A mapping compares text with
text, so such scalars are kept as written and marked. Where a mapping compares text they are refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features import yaml_document
from features.folding import fold
from training.importing.errors import hint

_TEXT_TAG = "tag:yaml.org,2002:str"


class Unquoted(str):
    """A scalar as written that YAML would read as a boolean, number, date or null."""

    __slots__ = ()


def read_yaml(text: str) -> Any:
    """Dictionaries, lists and texts of a YAML document; scalars that YAML would not read as text are `Unquoted`.

    Raises:
        ValueError: the text is not YAML, or has duplicate keys or aliases; the message names the line.
    """
    if _has_alias(text):
        raise ValueError("has an alias (*name); write the part out in full")
    node = yaml_document.compose(text)
    return {} if node is None else _plain(node)


def _has_alias(text: str) -> bool:
    try:
        return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return False


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {_plain(key): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child) for child in node.value]
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in node.value):
        raise ValueError(f"line {node.start_mark.line + 1}: has NUL or half a surrogate pair; take it out")
    return node.value if node.tag == _TEXT_TAG else Unquoted(node.value)


def _quoted(value: Any) -> Any:
    if isinstance(value, Unquoted) and value:
        raise ValueError(
            f'must be text, and YAML reads an unquoted {value} as something else; write "{value}" in quotes'
        )
    if isinstance(value, Unquoted) or not isinstance(value, str):
        raise ValueError('must be text, such as name or "1"')
    return value


def listed(value: Any) -> Any:
    """A list as a tuple; a ValueError for anything else."""
    if not isinstance(value, list | tuple):
        raise ValueError('must be a list, such as ["a", "b"]')
    return tuple(value)


def one_or_more(value: Any) -> Any:
    """A text, or a list of texts, as a tuple."""
    return (value,) if isinstance(value, str) else listed(value)


def whole_number(value: Any) -> Any:
    """The whole number that a scalar of a mapping is."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise ValueError(f"must be a whole number such as 2, not {value!r}")


def truth(value: Any) -> Any:
    """The truth value that a scalar of a mapping is."""
    if value in ("true", "false"):
        return value == "true"
    raise ValueError(f"must be true or false, not {value!r}")


Text = Annotated[str, BeforeValidator(_quoted)]
"""Text that YAML reads as text."""
Texts = Annotated[tuple[Text, ...], BeforeValidator(listed, json_schema_input_type=list[Text])]
"""A list of such texts."""
Name = Annotated[Text, Field(min_length=1)]
"""The name of a column, file or field."""
Names = Annotated[tuple[Name, ...], BeforeValidator(listed, json_schema_input_type=list[Name])]
"""A list of names."""


@dataclass(frozen=True)
class FoldedTexts:
    """Texts of a mapping. A cell is one of them if it is equal after folding (see `features.folding`).

    >>> "n/a" in FoldedTexts.of(["N/A ", ""]), " " in FoldedTexts.of([""])
    (True, True)
    """

    folded: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "FoldedTexts":
        """These texts, folded."""
        return cls(frozenset(map(fold, texts)))

    def __contains__(self, cell: str) -> bool:
        return fold(cell) in self.folded


class MappingPart(BaseModel):
    """A part of a mapping file: frozen and strict; its error suggests the key that a typing error was meant to be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, content: Any) -> Any:
        if isinstance(content, cls):
            return content
        if not isinstance(content, dict):
            raise ValueError("must hold keys and values")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in content:
            if key not in known and cls.model_config.get("extra") == "forbid":
                raise ValueError(f"has no key {str(key)!r}; {hint(key, known)}")
        return content
