"""The tables of the first release that keeps its stores.

Spelt out, and never changed: a revision makes today what it made on the day it was written.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Creates every table, and the counter at its start."""
    op.create_table(
        "accounts",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("domain", TEXT),
        sa.Column("name", TEXT),
        sa.Column("employees", sa.BigInteger),
        sa.Column("annual_revenue_minor", sa.BigInteger),
        sa.Column("annual_revenue_currency", TEXT),
        sa.Column("industry", TEXT),
        sa.Column("country", TEXT),
        sa.Column("technologies", TEXT),
        sa.Column("competitor", sa.Boolean),
        sa.PrimaryKeyConstraint("ingest", name="pk_accounts"),
    )
    op.create_index("ix_accounts_account_id", "accounts", ["account_id"])
    op.create_table(
        "agreements",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("agreement_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.Column("role", TEXT),
        sa.Column("share", sa.Double),
        sa.Column("until", sa.BigInteger),
        sa.PrimaryKeyConstraint("ingest", name="pk_agreements"),
    )
    op.create_index("ix_agreements_agreement_id", "agreements", ["agreement_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", KEY, nullable=False),
        sa.Column("prefix", TEXT, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("sha256", name="uq_api_keys_sha256"),
    )
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])
    op.create_table(
        "bundles",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_bundles"),
    )
    op.create_table(
        "buying_signals",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("buying_signal_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("kind", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_buying_signals"),
    )
    op.create_index("ix_buying_signals_buying_signal_id", "buying_signals", ["buying_signal_id"])
    op.create_index("ix_buying_signals_lead_id", "buying_signals", ["lead_id"])
    op.create_table(
        "confirmations",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("confirmation_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("side", TEXT),
        sa.Column("partner_id", TEXT),
        sa.Column("subjects", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_confirmations"),
    )
    op.create_index("ix_confirmations_confirmation_id", "confirmations", ["confirmation_id"])
    op.create_index("ix_confirmations_lead_id", "confirmations", ["lead_id"])
    op.create_table(
        "decisions",
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT),
        sa.Column("stored", sa.Boolean, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("request", TEXT),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_lead_id", "decisions", ["lead_id"])
    op.create_table(
        "exchange_rates",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("exchange_rate_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("base", TEXT),
        sa.Column("quote", TEXT),
        sa.Column("rate", sa.Double),
        sa.PrimaryKeyConstraint("ingest", name="pk_exchange_rates"),
    )
    op.create_index("ix_exchange_rates_exchange_rate_id", "exchange_rates", ["exchange_rate_id"])
    op.create_table("ingest_counter", sa.Column("last", sa.BigInteger, nullable=False))
    op.create_table(
        "integration_usage",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("usage_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("integration", TEXT),
        sa.Column("partner_id", TEXT),
        sa.Column("day", sa.BigInteger),
        sa.Column("calls", sa.BigInteger),
        sa.Column("active_users", sa.BigInteger),
        sa.PrimaryKeyConstraint("ingest", name="pk_integration_usage"),
    )
    op.create_index("ix_integration_usage_account_id", "integration_usage", ["account_id"])
    op.create_index("ix_integration_usage_usage_id", "integration_usage", ["usage_id"])
    op.create_table(
        "lead_events",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("lead_event_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("event", TEXT),
        sa.Column("stage", TEXT),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("amount_currency", TEXT),
        sa.Column("acv_minor", sa.BigInteger),
        sa.Column("acv_currency", TEXT),
        sa.Column("arr_minor", sa.BigInteger),
        sa.Column("arr_currency", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_lead_events"),
    )
    op.create_index("ix_lead_events_lead_event_id", "lead_events", ["lead_event_id"])
    op.create_index("ix_lead_events_lead_id", "lead_events", ["lead_id"])
    op.create_table(
        "leads",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("order", sa.BigInteger),
        sa.Column("group", TEXT),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT),
        sa.Column("email", TEXT),
        sa.Column("email_domain", TEXT),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("channel", TEXT),
        sa.Column("source_partner_id", TEXT),
        sa.Column("programme_tier", TEXT),
        sa.Column("referral_date", sa.BigInteger),
        sa.Column("region", TEXT),
        sa.Column("product_line", TEXT),
        sa.Column("opted_out", sa.Boolean),
        sa.Column("duplicate_of", TEXT),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("ingest", name="pk_leads"),
    )
    op.create_index("ix_leads_lead_id", "leads", ["lead_id"])
    op.create_table(
        "partner_history",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("leads", sa.BigInteger),
        sa.Column("wins", sa.BigInteger),
        sa.Column("days_to_close", sa.Double),
        sa.PrimaryKeyConstraint("ingest", name="pk_partner_history"),
    )
    op.create_index("ix_partner_history_as_of", "partner_history", ["partner_id", "recorded_at"])
    op.create_index("ix_partner_history_partner_id", "partner_history", ["partner_id"])
    op.create_table(
        "partners",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("name", TEXT),
        sa.Column("kind", TEXT),
        sa.Column("tier", TEXT),
        sa.Column("certified", sa.Boolean),
        sa.PrimaryKeyConstraint("ingest", name="pk_partners"),
    )
    op.create_index("ix_partners_partner_id", "partners", ["partner_id"])
    op.create_table(
        "payouts",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("payout_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.Column("lead_id", TEXT),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("amount_currency", TEXT),
        sa.Column("status", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_payouts"),
    )
    op.create_index("ix_payouts_payout_id", "payouts", ["payout_id"])
    op.create_table("provenance", sa.Column("content", TEXT, nullable=False))
    op.create_table(
        "quality_reports",
        sa.Column("id", KEY, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quality_reports"),
    )
    op.create_table(
        "referrals",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("referral_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_referrals"),
    )
    op.create_index("ix_referrals_lead_id", "referrals", ["lead_id"])
    op.create_index("ix_referrals_referral_id", "referrals", ["referral_id"])
    op.create_table(
        "sessions",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_sessions"),
    )
    op.create_table(
        "shared_customers",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("shared_customer_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.Column("relationship", TEXT),
        sa.Column("since", sa.BigInteger),
        sa.Column("confidence", sa.Double),
        sa.Column("source", TEXT),
        sa.Column("reason", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_shared_customers"),
    )
    op.create_index("ix_shared_customers_account_id", "shared_customers", ["account_id"])
    op.create_index("ix_shared_customers_shared_customer_id", "shared_customers", ["shared_customer_id"])
    op.create_table(
        "sign_in_tokens",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("partner_id", TEXT),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("sha256", name="pk_sign_in_tokens"),
    )
    op.create_table(
        "spend",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("spend_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("channel", TEXT),
        sa.Column("partner_id", TEXT),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("amount_currency", TEXT),
        sa.PrimaryKeyConstraint("ingest", name="pk_spend"),
    )
    op.create_index("ix_spend_spend_id", "spend", ["spend_id"])
    op.create_table(
        "tier_history",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("leads", sa.BigInteger),
        sa.Column("wins", sa.BigInteger),
        sa.Column("partner_strength", sa.Double),
        sa.Column("tier_strength", sa.Double),
        sa.PrimaryKeyConstraint("ingest", name="pk_tier_history"),
    )
    op.create_index("ix_tier_history_as_of", "tier_history", ["tier", "recorded_at"])
    op.create_index("ix_tier_history_tier", "tier_history", ["tier"])
    op.create_table(
        "touchpoints",
        sa.Column("ingest", KEY, autoincrement=False, nullable=False),
        sa.Column("touchpoint_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("channel", TEXT),
        sa.Column("kind", TEXT),
        sa.Column("partner_id", TEXT),
        sa.Column("url", TEXT),
        sa.Column("url_tagged", sa.Boolean),
        sa.PrimaryKeyConstraint("ingest", name="pk_touchpoints"),
    )
    op.create_index("ix_touchpoints_lead_id", "touchpoints", ["lead_id"])
    op.create_index("ix_touchpoints_touchpoint_id", "touchpoints", ["touchpoint_id"])
    op.create_table(
        "bundle_files",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["bundles.sha256"], name="fk_bundle_files_sha256"),
        sa.PrimaryKeyConstraint("sha256", "path", name="pk_bundle_files"),
    )
    op.create_table(
        "champion",
        sa.Column("id", KEY, nullable=False),
        sa.Column("alias", TEXT, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["bundles.sha256"], name="fk_champion_sha256"),
        sa.PrimaryKeyConstraint("id", name="pk_champion"),
    )
    op.create_index("ix_champion_alias", "champion", ["alias"])
    op.create_table(
        "current_score",
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("qualification", TEXT, nullable=False),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("close_probability", sa.Double),
        sa.Column("grade", TEXT),
        sa.Column("expected_value_minor", sa.BigInteger),
        sa.Column("expected_value_currency", TEXT),
        sa.Column("source_partner_id", TEXT),
        sa.Column("scored_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="fk_current_score_decision_id"),
        sa.PrimaryKeyConstraint("lead_id", name="pk_current_score"),
    )
    op.create_index("ix_current_score_decision_id", "current_score", ["decision_id"])
    op.create_index("ix_current_score_rank", "current_score", ["qualification", "close_probability"])
    op.create_index("ix_current_score_source_partner_id", "current_score", ["source_partner_id"])
    op.create_table(
        "exposures",
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("seed", TEXT, nullable=False),
        sa.Column("randomised", sa.Boolean, nullable=False),
        sa.Column("view", TEXT, nullable=False),
        sa.Column("listed", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("position_by_score", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="fk_exposures_decision_id"),
        sa.PrimaryKeyConstraint("day", "lead_id", name="pk_exposures"),
    )
    op.execute("INSERT INTO ingest_counter (last) VALUES (0)")
