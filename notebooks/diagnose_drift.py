"""Diagnose drift with `make notebook`; on records of your own with

.venv/bin/marimo edit notebooks/diagnose_drift.py -- --records DIR [--days 180]
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: diagnose drift")


@app.cell
def _(mo):
    mo.md("""
    # Is the model still what it was?

    A champion is trained on the records as they stood 180 days before their end (`-- --days N` for another), and
    monitored on their last day. The records are those of `eql export DIR`, given with `-- --records DIR`, or a
    simulated world in which the odds of winning fall all the time.
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
    notes = "\n".join(f"* not looked at: {note}" for note in report["notes"])
    counts = ", ".join(f"{leads:,} {period}" for period, leads in report["leads"].items())
    # Joined, for reasons that start with a space would be read as code.
    said = [f"## The verdict: {report['verdict']}", f"The {champion.rung} rung; leads: {counts}.", reasons, notes]
    mo.md("\n\n".join(said))


@app.cell
def _(Figure, mo, pd, report):
    shifts = pd.DataFrame(report["features"])

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
            ## What goes in: each feature

            How large an index is unusual depends on how many leads there are and on how the feature moves anyway, so
            each has its own limit. Of many features some pass theirs by chance; the verdict allows for that.
            """),
            *([moved(shifts.head(12)), mo.ui.table(shifts, selection=None)] if len(shifts) else []),
        ]
    )


@app.cell
def _(mo, pd, report):
    told = report["domain_classifier"]
    carriers = pd.DataFrame((told["carriers"] if told else {}).items(), columns=["feature", "share of what tells"])
    words = (
        f"Recent leads are told from earlier ones with an AUC of {told['auc']:.3f} "
        f"({told['auc_95'][0]:.3f} to {told['auc_95'][1]:.3f}); .5 is not at all."
        if told
        else "Too few leads."
    )
    mo.vstack([mo.md(f"## What goes in: all features together\n\n{words}"), mo.ui.table(carriers, selection=None)])


@app.cell
def _(Figure, mo, pd, report):
    def against(title, gaps):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        table = pd.DataFrame(gaps)
        low, high = (table["observed_95"].str[side] for side in (0, 1))
        reach = [(table["observed"] - low).clip(lower=0), (high - table["observed"]).clip(lower=0)]
        axes.errorbar(
            table["of"], table["observed"], yerr=reach, marker="o", linestyle="", capsize=4, label="won, 95 %"
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
            ## What comes out

            Early wins are known long before a label is complete: wins within 14 and 30 days of the latest leads,
            against what the champion's probabilities made of them. Below them, leads whose whole horizon has passed.
            """),
            *([against("Early wins of the latest leads", report["early"])] if report["early"] else []),
            *([against("Leads matured since, by month of creation", matured)] if matured else []),
        ]
    )


@app.cell
def _(mo):
    mo.md("""
    ## What to do

    `watch`: look at the source of the feature named; a source that broke is mended there, not by training.
    `retrain`: `eql train`, then `eql promote`, which compares. `docs/monitoring.md` says how each verdict is reached.
    """)


if __name__ == "__main__":
    app.run()
