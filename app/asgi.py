"""The web application of one worker process; its settings come from the environment, as for every command."""

import atexit
import gc
import logging
import sys

from fastapi import FastAPI

from app import settings
from app.draining import stop_with_parent
from app.wiring import Wiring
from serving import logs
from serving.app import create_app

_SWITCH_SECONDS = 0.0005
"""The longest time that a thread holds the interpreter while another thread waits for it. At Python's default of 5 ms,
a few busy threads hold up the event loop, and with it refusals and /healthz, for tenths of a second."""


def create() -> FastAPI:
    """The application, with its champion loaded, so that the first request does not wait for it.

    The objects that exist at the start are kept out of garbage collection. A collection that visits them takes a
    seventh of a second, and no request makes progress during that time.
    """
    stop_with_parent()
    parts = Wiring(settings.read())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if parts.settings.log == "json":
        logs.as_json()
    sys.setswitchinterval(_SWITCH_SECONDS)
    parts.service.champion.scorer()
    app = create_app(parts.service)
    gc.collect()
    gc.freeze()
    # At its end the interpreter would take frozen objects of DuckDB for leaks, and print a page about them.
    atexit.register(gc.unfreeze)
    return app
