"""The web application of one of several worker processes, from the environment like every command."""

import gc
import logging
import sys

from fastapi import FastAPI

from app import settings
from app.draining import end_with_the_first
from app.wiring import Wiring
from serving import logs
from serving.app import create_app

_SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter while another wants it; at Python's 5 ms a few of them at work keep the event
loop, hence refusals and /healthz, waiting for tenths of a second."""


def create() -> FastAPI:
    """The application, with its champion loaded, so that the first request need not wait for it.

    What is there from the beginning is kept out of garbage collection: to look through it takes a seventh of a second,
    in which no request is worked on.
    """
    end_with_the_first()
    parts = Wiring(settings.read())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if parts.settings.log == "json":
        logs.as_json()
    sys.setswitchinterval(_SWITCH_SECONDS)
    parts.service.champion.scorer()
    app = create_app(parts.service)
    gc.collect()
    gc.freeze()
    return app
