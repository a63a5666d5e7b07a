"""The web application of one of several worker processes, from the environment like every command."""

import logging
import sys

from fastapi import FastAPI

from app import settings
from app.wiring import Wiring
from serving import logs
from serving.api.app import create_app


def create() -> FastAPI:
    """The application, with its champion loaded, so that the first request need not wait for it."""
    parts = Wiring(settings.read())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if parts.settings.log == "json":
        logs.as_json()
    parts.service.champion.scorer()
    return create_app(parts.service)
