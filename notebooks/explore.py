"""Explore records and a model with `make notebook`; records of your own with

.venv/bin/marimo edit notebooks/explore.py -- --records DIR
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: explore")


@app.cell
def _(mo):
    mo.md("""
    # Records, base rate, one feature, one model

    The records are those of `eql export DIR`, given with `-- --records DIR`, or a small simulated world.
    Nothing here touches the store or the registry.
    """)


@app.cell
def _():
    import datetime as dt
    import tempfile
    from dataclasses import asdict
    from pathlib import Path

    import marimo as mo
    import matplotlib.style
    import pandas as pd
    from matplotlib.figure import Figure

    from features.catalogue import CATALOGUE
    from features.engines.duckdb import DuckDBEngine
    from features.partner_history import HORIZON_DAYS
    from training.data.snapshots import label_snapshots
    from training.evaluation.plots import plots
    from training.fitting.trainer import train
    from training.world.sample_records import sample_records

    matplotlib.style.use("tableau-colorblind10")
    return (
        CATALOGUE,
        DuckDBEngine,
        Figure,
        HORIZON_DAYS,
        Path,
        asdict,
        dt,
        label_snapshots,
        mo,
        pd,
        plots,
        sample_records,
        tempfile,
        train,
    )


@app.cell
def _(Path, dt, mo, sample_records, tempfile):
    scratch = tempfile.TemporaryDirectory()
    records = sample_records(mo.cli_args(), Path(scratch.name), dt.datetime.now(dt.UTC).date())
    return (records,)


@app.cell
def _(CATALOGUE, DuckDBEngine, HORIZON_DAYS, label_snapshots, pd, records):
    with DuckDBEngine(records, HORIZON_DAYS) as engine:
        catalogue = CATALOGUE.with_attributes(engine.provenance.attributes)
        snapshots = label_snapshots(engine, HORIZON_DAYS)
        wanted = snapshots.table().filter(snapshots.at_creation)
        features = engine.evaluate(catalogue, wanted).to_pandas()
    labels = wanted.to_pandas().assign(won=snapshots.won[snapshots.at_creation].astype(int))
    leads = features.merge(labels, on=["lead_id", "as_of"], validate="one_to_one")
    leads.insert(1, "created", pd.to_datetime(leads.pop("as_of"), unit="us", utc=True))
    return catalogue, leads


@app.cell
def _(HORIZON_DAYS, leads, mo):
    mo.vstack(
        [
            mo.md(f"""
            ## Leads

            {len(leads):,} leads with a mature label, as they were at creation; {leads.won.mean():.1%} were won within
            {HORIZON_DAYS} days.
            """),
            mo.ui.table(leads, selection=None, page_size=8),
        ]
    )


@app.cell
def _(Figure, leads, mo):
    def drawn(title, x, y):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        axes.set(title=title, xlabel=x, ylabel=y)
        return figure, axes

    monthly = leads.groupby(leads["created"].dt.strftime("%Y-%m"))["won"].mean()
    over_time, time_axes = drawn("Base rate over time", "month of creation", "share won")
    time_axes.plot(monthly.index, monthly, marker="o")
    time_axes.tick_params(axis="x", rotation=45)
    time_axes.set_ylim(bottom=0)
    mo.vstack([mo.md("## Base rate over time"), over_time])
    return (drawn,)


@app.cell
def _(catalogue, mo):
    feature = mo.ui.dropdown(list(catalogue.names), value="partner_referrals", label="Feature", searchable=True)
    mo.vstack([mo.md("## One feature against the outcome"), feature])
    return (feature,)


@app.cell
def _(catalogue, drawn, feature, leads, mo, pd):
    entry = catalogue[feature.value]
    values = leads[entry.name]
    many = entry.kind == "number" and values.nunique() > 8
    groups = pd.qcut(values, 8, duplicates="drop") if many else values.astype("category")
    groups = groups.cat.add_categories("missing").fillna("missing")
    shares = leads.groupby(groups, observed=True)["won"].agg(["mean", "size"])
    against, axes = drawn(entry.description, entry.unit, "share won")
    axes.bar([f"{level}\n{size:,} leads" for level, size in shares["size"].items()], shares["mean"])
    axes.tick_params(axis="x", labelsize=7)
    mo.vstack([against])


@app.cell
def _(CATALOGUE, asdict, mo, records, train):
    steps = []
    trained = train(records, CATALOGUE, steps.append)
    report, metrics = trained.report, trained.report.metrics
    figures = ("rows", "log_loss", "log_loss_constant", "auc", "auc_95", "brier", "calibration_slope")
    mo.vstack(
        [
            mo.md(f"""
            ## One model

            Rung **{report.rung}**, because {report.rung_reason}. **{"Skill" if metrics.skill else "No skill"}**
            out of time ({report.split}); target: {report.target}; point in time: {report.point_in_time}.
            """),
            mo.ui.table([{"figure": name, "value": str(getattr(metrics, name))} for name in figures], selection=None),
            mo.ui.table([asdict(rung) for rung in report.out_of_time_rungs], selection=None, label="Rolling origins"),
        ]
    )
    return (trained,)


@app.cell
def _(mo, plots, trained):
    pictures = plots(trained.bundle, trained.predictions, trained.bundle.contributions(trained.test_matrix))
    mo.vstack(
        [mo.md("## Reliability, lift, importance"), *(mo.image(picture, width=480) for picture in pictures.values())]
    )


if __name__ == "__main__":
    app.run()
