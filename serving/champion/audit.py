"""The check that the kept policies and model bundles are those that decisions name by their hashes."""

from sqlalchemy import Connection, select

from models import bundle as model_bundle
from models.bundle import UntrustedBundle
from serving.champion import bundles, policies
from serving.champion.tables import bundles as bundles_table
from serving.champion.tables import policies as policies_table


def error(connection: Connection) -> str | None:
    """The first policy or bundle that is not what its hash says, in words; None where each one is.

    Reads the bundles one by one, and runs nothing that is in them.
    """
    for sha256 in connection.execute(select(policies_table.c.sha256).order_by(policies_table.c.sha256)).scalars().all():
        if policies.get(connection, sha256) is None:
            return f"the policy {sha256[:12]} was altered, or is of a later version of this software"
    for sha256 in connection.execute(select(bundles_table.c.sha256).order_by(bundles_table.c.sha256)).scalars().all():
        try:
            found = model_bundle.verify(bundles.files(connection, sha256))
        except (UntrustedBundle, bundles.UnknownBundle) as untrusted:
            return f"the model bundle {sha256[:12]} was altered: {untrusted}"
        if found != sha256:
            return f"the model bundle {sha256[:12]} was altered: its manifest has another hash"
    return None
