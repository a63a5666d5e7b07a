"""Diagnose drift with `make notebook`; on records of your own with

.venv/bin/marimo edit notebooks/diagnose_drift.py -- --records DIR [--days 180]
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: diagnose drift")


@app.cell
def _(mo):
    mo.md("""
    # Is the champion still as good as at its training?

    A champion is trained on the records as they stood 180 days before their end (`-- --days N` for another), and
    monitored on their last day. The records are those of `eql export DIR`, given with `-- --records DIR`, or a
    simulated world in which the odds of winning fall steadily.
    """)


@app.cell
def _():
    import datetime as dt
    import tempfile
    from pathlib import Path

    import marimo as mo
    import matplotlib.style
    import pandas as pd
    from matplotlib.figure import Figure

    from features.catalogue import CATALOGUE
    from training.fitting.trainer import train
    from training.monitoring import monitor
    from training.world import Switches
    from training.world.sample_records import records_before, sample_records

    matplotlib.style.use("tableau-colorblind10")
    return (
        CATALOGUE,
        Figure,
        Path,
        Switches,
        dt,
        mo,
        monitor,
        pd,
        records_before,
        sample_records,
        tempfile,
        train,
    )


@app.cell
def _(Path, Switches, dt, mo, records_before, sample_records, tempfile):
    scratch = tempfile.TemporaryDirectory()
    days = int(mo.cli_args().get("days") or 180)
    today = dt.datetime.now(dt.UTC).date()
    records = sample_records(mo.cli_args(), Path(scratch.name), today, Switches(drift=1.0))
    earlier = records_before(records, days, Path(scratch.name) / "earlier")
    return earlier, records


@app.cell
def _(CATALOGUE, earlier, monitor, records, train):
    steps = []
    champion = train(earlier, CATALOGUE, steps.append).bundle
    report = monitor(records, champion, CATALOGUE).to_dict()
    return champion, report


@app.cell
def _(champion, mo, report):
    reasons = "\n".join(f"* {reason}" for reason in report["reasons"])
    notes = "\n".join(f"* not tested: {note}" for note in report["notes"])
    counts = ", ".join(f"{leads:,} {period}" for period, leads in report["leads"].items())
    # Joined line by line: Markdown reads a line that starts with spaces as code.
    texts = [f"## The verdict: {report['verdict']}", f"The {champion.rung} rung; leads: {counts}.", reasons, notes]
    mo.md("\n\n".join(texts))


@app.cell
def _(Figure, mo, pd, report):
    drifts = pd.DataFrame(report["features"])

    def moved(table):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(table["psi"], table["name"], marker="o", linestyle="", label="measured")
        axes.plot(
            table["null_mean"], table["name"], marker="|", linestyle="", color="grey", label="by chance, on average"
        )
        axes.plot(table["limit"], table["name"], marker="x", linestyle="", label="unusual from here on")
        axes.set(title="The features that moved most", xlabel="population stability index")
        axes.invert_yaxis()
        axes.legend()
        return figure

    mo.vstack(
        [
            mo.md("""
            ## Inputs: each feature

            The limit of an index depends on the number of leads and on the baseline drift of the feature, so each
            feature has its own limit. Among many features some exceed their limit by chance; the verdict allows for
            that.
            """),
            *([moved(drifts.head(12)), mo.ui.table(drifts, selection=None)] if len(drifts) else []),
        ]
    )


@app.cell
def _(mo, pd, report):
    domain = report["domain_classifier"]
    carriers = pd.DataFrame((domain["carriers"] if domain else {}).items(), columns=["feature", "share of the gain"])
    words = (
        f"A classifier separates recent leads from earlier ones with an AUC of {domain['auc']:.3f} "
        f"({domain['auc_95'][0]:.3f} to {domain['auc_95'][1]:.3f}); .5 means that they look alike."
        if domain
        else "Too few leads."
    )
    mo.vstack([mo.md(f"## Inputs: all features together\n\n{words}"), mo.ui.table(carriers, selection=None)])


@app.cell
def _(Figure, mo, pd, report):
    def against(title, gaps):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        table = pd.DataFrame(gaps)
        low, high = (table["observed_95"].str[side] for side in (0, 1))
        distances = [(table["observed"] - low).clip(lower=0), (high - table["observed"]).clip(lower=0)]
        axes.errorbar(
            table["of"], table["observed"], yerr=distances, marker="o", linestyle="", capsize=4, label="won, 95 %"
        )
        axes.plot(table["of"], table["predicted"], marker="_", markersize=20, linestyle="", label="predicted")
        axes.set(title=title, ylabel="share won")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.2)
        axes.tick_params(axis="x", rotation=20)
        axes.legend()
        return figure

    matured = [*report["months"]]
    mo.vstack(
        [
            mo.md("""
            ## Outcomes

            Early wins are known long before a label is complete: wins within 14 and 30 days of the latest leads,
            against the champion's predictions. Below them are the leads whose whole horizon has passed.
            """),
            *([against("Early wins of the latest leads", report["early"])] if report["early"] else []),
            *([against("Leads matured since, by month of creation", matured)] if matured else []),
        ]
    )


@app.cell
def _(mo):
    mo.md("""
    ## What to do

    `watch`: check the source of the named feature; fix a broken source there, not by training.
    `retrain`: run `eql train`, then `eql promote`, which compares the two. `docs/monitoring.md` explains each verdict.
    """)


if __name__ == "__main__":
    app.run()
