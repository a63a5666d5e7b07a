"""Train, and compare with an earlier training, with `make notebook`; on records of your own with

.venv/bin/marimo edit notebooks/train_and_compare.py -- --records DIR [--days 180]
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: train and compare")


@app.cell
def _(mo):
    mo.md("""
    # Two trainings, compared as in a promotion

    The champion is trained on the records as they stood 180 days before their end (`-- --days N` for another), the
    challenger on all of them. The records are those of `eql export DIR`, given with `-- --records DIR`, or a small
    simulated world. Nothing here touches the store or the registry.
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
    from training.evaluation.plots import plots
    from training.evaluation.test_window import FrozenWindow
    from training.fitting.trainer import train
    from training.promotion.promotion import ComparedVersion, decide
    from training.world.sample_records import records_before, sample_records

    matplotlib.style.use("tableau-colorblind10")
    return (
        CATALOGUE,
        ComparedVersion,
        Figure,
        Path,
        FrozenWindow,
        asdict,
        decide,
        dt,
        mo,
        pd,
        plots,
        records_before,
        sample_records,
        tempfile,
        train,
    )


@app.cell
def _(Path, dt, mo, records_before, sample_records, tempfile):
    scratch = tempfile.TemporaryDirectory()
    days = int(mo.cli_args().get("days") or 180)
    records = sample_records(mo.cli_args(), Path(scratch.name), dt.datetime.now(dt.UTC).date())
    earlier = records_before(records, days, Path(scratch.name) / "earlier")
    return days, earlier, records


@app.cell
def _(CATALOGUE, earlier, records, train):
    # A training may vary: seed=, horizon_days=, allowed_leaks=, excluded=[Segment("region", "apac")], the catalogue.
    steps = []
    trained = train(records, CATALOGUE, steps.append)
    before = train(earlier, CATALOGUE, steps.append)
    return before, trained


@app.cell
def _(asdict, mo, trained):
    report = trained.report
    rungs = [asdict(rung) for rung in report.out_of_time_rungs]
    mo.vstack(
        [
            mo.md(f"""
            ## Every rung, out of time

            Each rung is fitted at every rolling origin and judged on the leads after it. **{report.rung}** serves,
            because {report.rung_reason}.
            """),
            mo.ui.table(rungs, selection=None) if rungs else mo.md("No rung above the base rate could be judged."),
        ]
    )
    return (rungs,)


@app.cell
def _(Figure, mo, pd, rungs):
    def drawn(table):
        figure = Figure(figsize=(7, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(table["log_loss"], table["rung"], marker="o", linestyle="")
        axes.axvline(table["log_loss"].iloc[0], color="grey", linewidth=1)
        axes.set(title="Log loss out of time; the line is the base rate's", xlabel="nats a lead, less is better")
        axes.invert_yaxis()
        return figure

    mo.vstack([drawn(pd.DataFrame(rungs))] if rungs else [])


@app.cell
def _(before, mo, plots, trained):
    def reliability(one):
        parts = one.bundle.contributions(one.test_matrix)
        return mo.image(plots(one.bundle, one.predictions, parts)["reliability.png"], width=420)

    mo.vstack(
        [
            mo.md("""
            ## Reliability

            Each plot shows the leads of its own test window: the champion on the left, the challenger on the right. On
            the line, predicted and observed shares agree.
            """),
            mo.hstack([reliability(before), reliability(trained)]),
        ]
    )


@app.cell
def _(CATALOGUE, ComparedVersion, FrozenWindow, before, decide, trained):
    versions = (
        ComparedVersion("challenger", trained.bundle, trained.predictions),
        ComparedVersion("champion", before.bundle, before.predictions),
    )
    window = FrozenWindow.of(trained.predictions, trained.table)
    decision = decide(*versions, window, trained.bundle.catalogue(CATALOGUE))
    return (decision,)


@app.cell
def _(days, decision, mo):
    checks = [
        {"guard-rail": check.name, "holds": check.passed, "blocks": check.blocks, "finding": check.words}
        for check in decision.checks
    ]
    mo.vstack(
        [
            mo.md(f"""
            ## Would it be promoted?

            **{"Yes" if decision.promote else "No"}**: {decision.words}. The champion is {days} days older. Both score
            the same leads: the challenger's test leads that the champion was not trained on.
            """),
            mo.ui.table(checks, selection=None),
        ]
    )


if __name__ == "__main__":
    app.run()
