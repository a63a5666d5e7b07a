"""The subject of the served model: published bundles, model aliases, and the watcher that loads the champion."""
