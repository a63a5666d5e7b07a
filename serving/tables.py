"""Every table of the store: those that the subjects own, and those of `serving.store.tables`.

A subject that has tables is named here, so that revisions are drafted from all of them.
"""

from serving.access import tables as access
from serving.champion import tables as champion
from serving.decisions import tables as decisions
from serving.privacy import tables as privacy
from serving.quality import tables as quality
from serving.records import tables as records
from serving.shadow import tables as shadow
from serving.store.tables import metadata
from serving.webhooks import tables as webhooks
from serving.work_list import tables as work_list
from serving.worker import tables as worker

__all__ = ["SUBJECTS", "metadata"]

SUBJECTS = (access, champion, decisions, privacy, quality, records, shadow, webhooks, work_list, worker)
"""The modules that define tables."""
