"""Audit a model across segments with `make notebook`; on records of your own with

.venv/bin/marimo edit notebooks/audit.py -- --records DIR
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: audit")


@app.cell
def _(mo):
    mo.md("""
    # Segments: where is the model worse?

    Calibration and log loss on the test window, by region, company size, partner and channel. The model is trained
    here, on the records of `eql export DIR`, given with `-- --records DIR`, or on a small simulated world.
    """)


@app.cell
def _():
    import datetime as dt
    import tempfile
    from pathlib import Path

    import marimo as mo
    import matplotlib.style
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from scipy.stats import norm

    from features.catalogue import CATALOGUE
    from models.probability import log_losses
    from training.evaluation.bootstrap import ClusterBootstrap
    from training.evaluation.test_window import FrozenWindow
    from training.fitting.trainer import train
    from training.world.sample_records import sample_records

    matplotlib.style.use("tableau-colorblind10")
    return (
        CATALOGUE,
        ClusterBootstrap,
        Figure,
        Path,
        FrozenWindow,
        dt,
        log_losses,
        mo,
        norm,
        np,
        pd,
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
def _(CATALOGUE, FrozenWindow, log_losses, np, pd, records, train):
    steps = []
    trained = train(records, CATALOGUE, steps.append)
    window = FrozenWindow.of(trained.predictions, trained.table)
    predictions = trained.predictions
    constant = np.full(len(predictions.won), predictions.constant)
    leads = pd.DataFrame(
        {"cluster": predictions.cluster, "won": predictions.won, "probability": predictions.probability}
    )
    leads["gap"] = leads["won"] - leads["probability"]
    leads["loss"] = log_losses(predictions.won, predictions.probability)
    leads["gained"] = log_losses(predictions.won, constant) - leads["loss"]
    return leads, trained, window


@app.cell
def _(pd, window):
    bands = {0: "below 50", 50: "50 to 249", 250: "250 to 999", 1000: "1,000 to 4,999", 5000: "5,000 or more"}
    columns = window.features.to_pandas()
    cuts = pd.DataFrame(
        {
            "region": columns["region"],
            "size": pd.cut(columns["employees"], [*bands, float("inf")], right=False, labels=[*bands.values()]),
            "partner": columns["lead.source_partner_id"].fillna("none"),
            "channel": columns["partner_channel"].fillna(columns["own_channel"]),
        },
        dtype="string",
    ).fillna("unknown")
    return (cuts,)


@app.cell
def _(ClusterBootstrap, cuts, leads, np, pd):
    MIN_LEADS = 30

    def judged(cut, value, some):
        """One segment's figures; intervals and errors resample whole accounts."""
        clusters = ClusterBootstrap(some["cluster"].to_numpy(str), np.random.default_rng(0), draws=400)
        error = clusters.standard_error(some["gap"].to_numpy())
        chance = np.sqrt((some["probability"] * (1 - some["probability"])).mean() / len(some))
        return {
            "by": cut,
            "segment": value,
            "leads": len(some),
            "won": some["won"].mean(),
            "predicted": some["probability"].mean(),
            "gap": some["gap"].mean(),
            **dict(zip(("gap_low", "gap_high"), clusters.mean_interval(some["gap"].to_numpy()), strict=True)),
            "errors_off": some["gap"].mean() / max(error, chance),
            "log_loss": some["loss"].mean(),
            **dict(zip(("loss_low", "loss_high"), clusters.mean_interval(some["loss"].to_numpy()), strict=True)),
            "gained_over_constant": some["gained"].mean(),
        }

    audit = pd.DataFrame(
        judged(cut, value, some) for cut in cuts for value, some in leads.groupby(cuts[cut]) if len(some) >= MIN_LEADS
    )
    return MIN_LEADS, audit


@app.cell
def _(MIN_LEADS, audit, mo, norm, trained):
    limit = float(norm.ppf(1 - 0.025 / max(len(audit), 1)))

    def words():
        if audit.empty:
            return f"No segment has {MIN_LEADS} leads in the test window."
        off = audit.loc[audit["errors_off"].abs().idxmax()]
        lost = audit.loc[audit["gained_over_constant"].idxmin()]
        beyond = "more" if abs(off["errors_off"]) > limit else "less"
        return f"""
The widest gap is that of **{off["by"]} {off["segment"]}**: {off["won"]:.1%} won, {off["predicted"]:.1%} predicted, of
{off["leads"]:,} leads. That is {abs(off["errors_off"]):.1f} standard errors, {beyond} than the {limit:.1f} that the
widest of {len(audit)} segments exceeds by chance in at most 1 of 20 audits of a calibrated model.

The model gains least over the base rate in **{lost["by"]} {lost["segment"]}**: its log loss is
{lost["log_loss"]:.4f} nats a lead, {lost["gained_over_constant"]:+z.4f} gained over the base rate.
"""

    worst = words()
    mo.md(f"## The worst segment\n\nRung **{trained.bundle.rung}**; {trained.report.split}.\n\n{worst}")
    return (worst,)


@app.cell
def _(Figure, mo):
    def forest(table, value, low, high, title, line):
        figure = Figure(figsize=(7, 1 + 0.3 * len(table)), layout="constrained")
        axes = figure.subplots()
        names = table["segment"] + " (" + table["leads"].map("{:,}".format) + ")"
        distances = [(table[value] - table[low]).clip(lower=0), (table[high] - table[value]).clip(lower=0)]
        axes.errorbar(table[value], names, xerr=distances, marker="o", linestyle="", capsize=3)
        axes.axvline(line, color="grey", linewidth=1)
        axes.set(title=title, xlabel="95 % intervals by account; leads in brackets")
        axes.margins(y=0.5 / len(table))
        axes.invert_yaxis()
        return figure

    def drawn(cut, table, overall):
        return [
            mo.md(f"## By {cut}"),
            forest(table, "gap", "gap_low", "gap_high", f"Share won less predicted, by {cut}", 0),
            forest(table, "log_loss", "loss_low", "loss_high", f"Log loss by {cut}; the line is all leads'", overall),
        ]

    return (drawn,)


@app.cell
def _(audit, drawn, leads, mo):
    shown = (
        []
        if audit.empty
        else [drawn(cut, table, leads["loss"].mean()) for cut, table in audit.groupby("by", sort=False)]
    )
    mo.vstack([*(part for parts in shown for part in parts), mo.ui.table(audit, selection=None)])


@app.cell
def _(mo):
    mo.md("""
    The interval of a gap excludes 0 by chance in one of 20 segments. The log loss of a segment depends on its share
    won, so compare it with the log loss of the base rate there. Where a segment does not belong in the model, leave it
    out of training: `eql train --exclude region=apac`.
    """)


if __name__ == "__main__":
    app.run()
