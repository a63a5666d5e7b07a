"""The addresses of the work list and of the leads on it."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from operations.work_list import View


def lead_address(lead_id: str) -> str:
    """The address of a lead's page."""
    return f"/leads/{quote(lead_id, safe='')}"


def list_address(view: View, views: Sequence[View], offset: int = 0, limit: int | None = None) -> str:
    """The address of a view of the work list; the list starts with the first view."""
    query = {"view": view.name if view != views[0] else None, "offset": offset or None, "limit": limit}
    given = {name: value for name, value in query.items() if value is not None}
    return f"/?{urlencode(given)}" if given else "/"
