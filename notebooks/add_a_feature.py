"""Try a feature before it enters the catalogue with `make notebook`; on records of your own with

.venv/bin/marimo edit notebooks/add_a_feature.py -- --records DIR
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: add a feature")


@app.cell
def _(mo):
    mo.md("""
    # A new feature: its values, the agreement of the engines, its gain

    The records are those of `eql export DIR`, given with `-- --records DIR`, or a small simulated world.
    Change the entry below; all cells after it update.
    """)


@app.cell
def _():
    import datetime as dt
    import tempfile
    from dataclasses import replace
    from pathlib import Path

    import marimo as mo
    import matplotlib.style
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from features.catalogue import CATALOGUE
    from features.catalogue.catalogue import Catalogue
    from features.catalogue.entry import FACTS, Aggregate, Condition, Entry, none_of
    from features.engines.duckdb import DuckDBEngine
    from features.engines.python import evaluate
    from features.partner_history import HORIZON_DAYS
    from features.records import DERIVED, KINDS
    from models.encoding import Encoding
    from models.probability import log_losses, sigmoid
    from training.data.matrix import prepare_training
    from training.data.rows import MIN_WINS
    from training.evaluation.bootstrap import ClusterBootstrap
    from training.fitting.ladder import TreeSettings, fit_logistic, fit_trees
    from training.world.sample_records import sample_records

    matplotlib.style.use("tableau-colorblind10")
    return (
        Aggregate,
        CATALOGUE,
        Catalogue,
        ClusterBootstrap,
        Condition,
        DERIVED,
        DuckDBEngine,
        Encoding,
        Entry,
        FACTS,
        Figure,
        HORIZON_DAYS,
        KINDS,
        MIN_WINS,
        Path,
        TreeSettings,
        dt,
        evaluate,
        fit_logistic,
        fit_trees,
        log_losses,
        mo,
        none_of,
        np,
        pd,
        prepare_training,
        replace,
        sample_records,
        sigmoid,
        tempfile,
    )


@app.cell
def _(Path, dt, mo, sample_records, tempfile):
    scratch = tempfile.TemporaryDirectory()
    records = sample_records(mo.cli_args(), Path(scratch.name), dt.datetime.now(dt.UTC).date())
    return (records,)


@app.cell
def _(Aggregate, Condition, Entry, none_of):
    entry = Entry(
        family="engagement",
        name="own_touches_7d",
        value=Aggregate(
            "count", "touchpoints", where=(Condition("partner_id", "absent"), none_of("channel", "trade_show")), days=7
        ),
        unit="touches",
        direction=1,
        description="First-party touches in the last 7 days.",
        sentence="Visits or downloads in the last 7 days: {value}",
        absent="No visit or download in the last 7 days",
    )
    return (entry,)


@app.cell
def _(CATALOGUE, Catalogue, HORIZON_DAYS, entry, mo, prepare_training, records):
    catalogue = Catalogue((*CATALOGUE, entry))
    data = prepare_training(records, catalogue, lambda _words: None, horizon_days=HORIZON_DAYS)
    values = data.table[entry.name].to_pandas()
    mo.vstack(
        [
            mo.md(f"## Its values by DuckDB, over {len(values):,} labelled snapshots"),
            mo.ui.table(values.describe().rename_axis("figure").reset_index(name="value"), selection=None),
        ]
    )
    return catalogue, data, values


@app.cell
def _(DERIVED, DuckDBEngine, FACTS, HORIZON_DAYS, KINDS, records):
    def records_of(engine, lead_id):
        """Every record about one lead, its account and all partners, as the direct engine reads them."""
        account = "SELECT account_id FROM leads WHERE lead_id = $1"

        def rows(kind):
            key = kind.parent or kind.id
            about = {"lead_id": f"{key} = $1", "account_id": f"{key} IN ({account})"}.get(key)
            where, given = (f"WHERE {about}", [lead_id]) if about else ("", [])
            return engine.sql(f'SELECT * FROM "{kind.name}" {where}', given).to_pylist()

        kinds = [*(KINDS[name] for name in ("leads", "accounts", "partners")), *FACTS.values(), *DERIVED]
        return {kind.name: rows(kind) for kind in kinds}

    def facts_of(lead_ids):
        with DuckDBEngine(records, HORIZON_DAYS) as engine:
            return {lead_id: records_of(engine, lead_id) for lead_id in lead_ids}

    return (facts_of,)


@app.cell
def _(catalogue, data, entry, evaluate, facts_of, mo, np, pd, values):
    some = np.linspace(0, len(values) - 1, min(10, len(values))).astype(int)
    facts = facts_of(sorted({str(data.snapshots.lead_id[row]) for row in some}))

    def directly(row):
        found = evaluate(catalogue, facts[str(data.snapshots.lead_id[row])], int(data.snapshots.as_of[row]))
        return found.features[entry.name]

    engines = pd.DataFrame(
        {
            "lead": data.snapshots.lead_id[some],
            "as of": pd.to_datetime(data.snapshots.as_of[some], unit="us", utc=True),
            "DuckDB": data.table[entry.name].take(some).to_pylist(),
            "direct engine": [directly(row) for row in some],
        }
    )
    mo.vstack(
        [
            mo.md("## The same values by the direct engine, which answers requests"),
            mo.ui.table(engines.assign(sales_reads=engines["DuckDB"].map(entry.read)), selection=None),
        ]
    )
    return (engines,)


@app.cell
def _(Figure, data, entry, mo, pd, values):
    created = data.snapshots.at_creation
    at_creation = pd.DataFrame({"value": values[created], "won": data.snapshots.won[created]})
    many = entry.kind == "number" and at_creation.value.nunique() > 8
    groups = (
        pd.qcut(at_creation.value, 8, duplicates="drop").astype(str) if many else at_creation.value.astype("string")
    )
    shares = at_creation.groupby(groups.fillna("missing"))["won"].agg(["mean", "size"])
    against = Figure(figsize=(7, 3), layout="constrained")
    axes = against.subplots()
    axes.bar([f"{level}\n{size:,} leads" for level, size in shares["size"].items()], shares["mean"])
    axes.set(title=entry.description, xlabel=entry.unit, ylabel="share won")
    mo.vstack([mo.md("## Against the outcome, at creation"), against])


@app.cell
def _(Encoding, TreeSettings, data, fit_logistic, fit_trees, np, replace, sigmoid):
    def only(names):
        """The rows and their encoding with some of the features."""
        columns = [data.encoding.names.index(name) for name in names]
        encoding = Encoding(tuple(data.encoding.features[column] for column in columns))
        rows = replace(data.rows, matrix=data.rows.matrix[:, columns])
        return rows, encoding, [data.directions[column] for column in columns]

    def predicted(rung, names, folds):
        """A rung's probabilities of the leads after each rolling origin, fitted on the rows before it."""
        rows, encoding, directions = only(names)

        def fitted(some):
            if rung == "logistic":
                return fit_logistic(some, encoding, directions, 0.1)
            return fit_trees(some, encoding, directions, TreeSettings(trees=100), seed=0)

        margins = [fitted(rows.take(f.fit)).contributions(rows.matrix[f.judge]).sum(axis=1) for f in folds]
        return sigmoid(np.concatenate(margins))

    return (predicted,)


@app.cell
def _(ClusterBootstrap, MIN_WINS, data, entry, log_losses, np, pd, predicted):
    folds = [f for f in data.split.folds if data.rows.won[f.fit].sum() >= MIN_WINS and len(f.judge)]
    others = [name for name in data.encoding.names if name != entry.name]
    tried = []
    if folds and entry.name in data.encoding.names:
        judged = np.concatenate([fold.judge for fold in folds])
        won = data.rows.won[judged]
        clusters = ClusterBootstrap(data.snapshots.cluster[judged], np.random.default_rng(0))
        for rung in ("logistic", "lightgbm"):
            without = log_losses(won, predicted(rung, others, folds))
            with_it = log_losses(won, predicted(rung, data.encoding.names, folds))
            low, high = clusters.mean_interval(with_it - without)
            tried.append([rung, len(judged), without.mean(), with_it.mean(), (with_it - without).mean(), low, high])
    gain = pd.DataFrame(tried, columns=["rung", "leads", "without", "with it", "difference", "low", "high"])
    return (gain,)


@app.cell
def _(Figure, entry, gain, mo):
    def drawn():
        figure = Figure(figsize=(7, 2), layout="constrained")
        axes = figure.subplots()
        distances = [gain["difference"] - gain["low"], gain["high"] - gain["difference"]]
        axes.errorbar(gain["difference"], gain["rung"], xerr=distances, marker="o", linestyle="", capsize=4)
        axes.axvline(0, color="grey", linewidth=1)
        axes.set(title=f"{entry.name}: change of log loss out of time, 95 % by account", xlabel="nats a lead")
        axes.margins(y=0.5)
        return figure

    few = mo.md("Too few wins come before a rolling origin, or the feature does not vary in training.")
    mo.vstack(
        [
            mo.md("""
            ## Its gain

            Each rung is fitted with and without the feature at the rolling origins, on the same leads. Below 0 the
            feature helps; an interval that contains 0 does not show a gain. The best of many tried features looks
            better than it is.
            """),
            *([mo.ui.table(gain, selection=None), drawn()] if len(gain) else [few]),
        ]
    )


@app.cell
def _(mo):
    mo.md("""
    ## Keep it

    Put the entry among the `ENTRIES` of `features/catalogue/<family>.py`, as CONTRIBUTING explains. Then run
    `make docs`, `eql train` and `eql promote`.
    """)


if __name__ == "__main__":
    app.run()
