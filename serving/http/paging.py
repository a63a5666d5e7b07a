"""Lists page by cursor: `{"items": [...], "next": "/v1/...?cursor=..."}`, next being null on the last page.

A cursor is the key of the last item shown, so that nothing is shown twice or left out because of what comes or goes
meanwhile. To callers it means nothing.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeAlias, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from serving.http.responses import Answer
from serving.http.strict_json import MalformedBody, read_object
from serving.validation import FieldError, InvalidFields

Key: TypeAlias = tuple[str | int, ...]
"""What a list is ordered by, of one item; no two have the same."""

_Item = TypeVar("_Item")


class Paging(BaseModel):
    """The query of a list; one that filters adds its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    """How many items at most."""
    cursor: Annotated[str, Field(max_length=2000)] | None = None
    """Where to go on: take it from `next`."""

    def after(self, *types: type) -> Key | None:
        """The key after which to go on, its parts being of these types; None to begin.

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
        self, path: str, found: Sequence[_Item], key: Callable[[_Item], Key], show: Callable[[_Item], Any]
    ) -> dict[str, Any]:
        """A page of the list.

        Args:
            path: the list's.
            found: the items after the cursor in the order of their keys: one more than `limit` where there are.
            key: the key of an item.
            show: an item as JSON.
        """
        items, more = found[: self.limit], len(found) > self.limit
        return {"items": [show(item) for item in items], "next": self._next(path, key(items[-1])) if more else None}

    def _next(self, path: str, key: Key) -> str:
        query = self.model_dump(mode="json", exclude_none=True) | {"cursor": _encoded(key)}
        return f"{path}?{urlencode(query)}"


class PageAnswer(Answer, Generic[_Item]):
    """A page of a list; `next` is the path of the one after, null on the last."""

    items: list[_Item]
    next: str | None


def _encoded(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps({"after": key}).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> Key | None:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key = read_object(text).get("after")
    except (ValueError, MalformedBody):
        return None
    return tuple(key) if isinstance(key, list) else None
