"""The leads of partners that joined an account of the vendor by their e-mail domain.

The vendor's rules and score use the joined account. The partner must not learn of it: what the partner sees is decided
with the account that the partner sent.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select, update

from features.engines.python import Facts
from serving.records.facts import facts_about_account
from serving.records.tables import joined_accounts as table


@dataclass(frozen=True)
class JoinedAccount:
    """A lead of a partner that joined an account of the vendor.

    Attributes:
        lead_id: the lead's own id.
        account_id: the vendor's account. Where the lead has another account now, the vendor gave it that account.
        sent_account_id: the account that the partner sent for the lead; None where it sent none.
    """

    lead_id: str
    account_id: str
    sent_account_id: str | None


def add(connection: Connection, joined: JoinedAccount) -> None:
    """Keeps which account a lead joined.

    Raises:
        sqlalchemy.exc.IntegrityError: the lead joined an account already.
    """
    connection.execute(insert(table).values(asdict(joined)))


def set_sent_account(connection: Connection, lead_id: str, account_id: str) -> None:
    """Keeps the account that a partner sent for a lead, where the lead joined an account and the partner sent none."""
    unset = table.c.lead_id == lead_id, table.c.sent_account_id.is_(None)
    connection.execute(update(table).where(*unset).values(sent_account_id=account_id))


def of_leads(connection: Connection, lead_ids: Collection[str]) -> Mapping[str, JoinedAccount]:
    """The joined account of each of these leads that has one, by lead."""
    wanted = select(table).where(table.c.lead_id.in_(lead_ids))
    return {row["lead_id"]: JoinedAccount(**row) for row in connection.execute(wanted).mappings()}


def facts_for_partner(connection: Connection, facts: Facts, joined: JoinedAccount) -> Facts:
    """The facts about a lead with the account that its partner sent in the place of the joined one."""
    sent = joined.sent_account_id
    leads = [{**row, "account_id": sent} if row["account_id"] == joined.account_id else row for row in facts["leads"]]
    return {**facts, "leads": leads, **(facts_about_account(connection, sent) if sent else {})}
