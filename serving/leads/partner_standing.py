"""How a lead stands by what its partner knows: without the vendor's account, which the partner must not see."""

from sqlalchemy import Connection

from features.records import KINDS
from models.decision import Decision
from models.scorer import Scorer
from serving.records.facts import facts_of
from serving.records.visible import EVER, visible
from serving.scoring.decide import decide
from serving.scoring.inputs import from_stored_facts, store_context


def partner_standing(
    connection: Connection, scorer: Scorer, lead_id: str, account_id: str | None, now: int
) -> Decision:
    """The decision on a stored lead with the partner's own account in the place of any other; it is not kept.

    Args:
        connection: the store's.
        scorer: the scorer that decides.
        lead_id: the lead.
        account_id: the account that the partner sent; None where it sent none.
        now: the present moment, microseconds.
    """
    facts = facts_of(connection, lead_id, now)
    leads = [{**row, "account_id": account_id} for row in facts["leads"]]
    accounts = visible(connection, KINDS["accounts"], [account_id] if account_id else [], EVER)
    known = {**facts, "leads": leads, "accounts": [*accounts.values()]}
    inputs = from_stored_facts(scorer, lead_id, known, now, store_context(connection, now))
    return decide(scorer, [inputs])[0]
