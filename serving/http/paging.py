"""Paging by cursor: `{"items": [...], "next": "/v1/...?cursor=..."}`, where `next` is null on the last page.

A cursor is the key of the last item of a page. So no item appears twice or is left out when items are added or removed
between two pages. Callers treat a cursor as opaque.
"""

import base64
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, create_model

from serving.http.responses import Answer
from serving.http.strict_json import MalformedBody, read_object
from serving.validation import FieldError, InvalidFields

Key: TypeAlias = tuple[str | int, ...]
"""The sort key of an item; no two items of a list have the same key."""

_Item = TypeVar("_Item")


class Paging(BaseModel):
    """The query of a list; a list with filters adds fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    """The number of items at most."""
    cursor: Annotated[str, Field(max_length=2000)] | None = None
    """The cursor of the next page, from `next`."""

    def after(self, *types: type) -> Key | None:
        """The key of the last item of the page before, with parts of these types; None for the first page.

        Raises:
            InvalidFields: the cursor belongs to another list.
        """
        if self.cursor is None:
            return None
        key = _decoded(self.cursor)
        if key is None or [type(part) for part in key] != [*types]:
            raise InvalidFields([FieldError("query.cursor", "must be one that this list's `next` gave")])
        return key

    def answer(
        self, path: str, rows: Sequence[_Item], key: Callable[[_Item], Key], show: Callable[[_Item], Any]
    ) -> dict[str, Any]:
        """A page of the list.

        Args:
            path: the path of the list.
            rows: the items after the cursor in the order of their keys; one more than `limit` where more exist.
            key: gives the key of an item.
            show: gives an item as JSON types.
        """
        items, more = rows[: self.limit], len(rows) > self.limit
        return {"items": [show(item) for item in items], "next": self._next(path, key(items[-1])) if more else None}

    def _next(self, path: str, key: Key) -> str:
        query = self.model_dump(mode="json", exclude_none=True) | {"cursor": cursor(key)}
        return f"{path}?{urlencode(query)}"


@cache
def page_answer(item: type[BaseModel]) -> type[BaseModel]:
    """The model of a page of a list; a generic model would give clients names such as `PageAnswer_LeadAnswer_`."""
    name = item.__name__.removesuffix("Answer")
    items: Any = list[item]  # type: ignore[valid-type]
    model: type[BaseModel] = create_model(
        f"{name}Page",
        __base__=Answer,
        __doc__="A page of a list.",
        items=(items, Field(description="The items, in their order.")),
        next=(str | None, Field(description="The path of the next page; null on the last page.")),
    )
    return model


def cursor(key: Key) -> str:
    """The cursor behind the item with this key."""
    return base64.urlsafe_b64encode(json.dumps({"after": key}).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> Key | None:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key = read_object(text).get("after")
    except (ValueError, MalformedBody):
        return None
    return tuple(key) if isinstance(key, list) else None
