"""The dependencies of routes: the parts that `serving.app` provides, by their type."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Request

from serving.store.store import Store

_Part = TypeVar("_Part")


def provide(app: FastAPI, *parts: object) -> None:
    """Makes parts available to the routes of `app`, one of each type; a later part replaces an earlier one."""
    provided: dict[type, object] = getattr(app.state, "parts", {})
    app.state.parts = provided | {type(part): part for part in parts}


def part(app: FastAPI, kind: type[_Part]) -> _Part:
    """The part of a type that was provided to an application.

    Raises:
        KeyError: the application has no such part.
    """
    value: _Part = app.state.parts[kind]
    return value


def part_of(request: Request, kind: type[_Part]) -> _Part:
    """The part of a type that was provided to the request's application."""
    return part(request.app, kind)


def provided(kind: type[_Part]) -> Callable[[Request], Awaitable[_Part]]:
    """A dependency of routes that gives the part of a type."""

    # A coroutine, because the framework runs plain functions on a thread.
    async def dependency(request: Request) -> _Part:
        return part_of(request, kind)

    return dependency


StoreDependency = Annotated[Store, Depends(provided(Store))]
