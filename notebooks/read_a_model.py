"""Read a model with `make notebook`; on records of your own with

.venv/bin/marimo edit notebooks/read_a_model.py -- --records DIR
"""

import marimo

app = marimo.App(width="medium", app_title="EQL: read a model")


@app.cell
def _(mo):
    mo.md("""
    # What a model has learned

    The features that move its probabilities over all leads and for one lead, and its reading of one feature. The
    model is trained here, on the records of `eql export DIR`, given with `-- --records DIR`, or on a small simulated
    world. Contributions are associations of the model with a feature, not effects of the feature.
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

    from features.catalogue import CATALOGUE
    from features.engines.python import Evaluation
    from models.explanation import explain
    from models.probability import sigmoid
    from training.evaluation.card import card
    from training.evaluation.importance import importance
    from training.evaluation.lift import LEADS_A_WEEK, lift_at_capacity
    from training.evaluation.test_window import FrozenWindow
    from training.fitting.trainer import train
    from training.world.sample_records import sample_records

    matplotlib.style.use("tableau-colorblind10")
    return (
        CATALOGUE,
        Evaluation,
        Figure,
        LEADS_A_WEEK,
        Path,
        FrozenWindow,
        card,
        dt,
        explain,
        importance,
        lift_at_capacity,
        mo,
        np,
        pd,
        sample_records,
        sigmoid,
        tempfile,
        train,
    )


@app.cell
def _(Path, dt, mo, sample_records, tempfile):
    scratch = tempfile.TemporaryDirectory()
    records = sample_records(mo.cli_args(), Path(scratch.name), dt.datetime.now(dt.UTC).date())
    return (records,)


@app.cell
def _(CATALOGUE, FrozenWindow, records, train):
    steps = []
    trained = train(records, CATALOGUE, steps.append)
    bundle = trained.bundle
    catalogue = bundle.catalogue(CATALOGUE)
    parts = bundle.contributions(trained.test_matrix)
    features = FrozenWindow.of(trained.predictions, trained.table).features
    return bundle, catalogue, features, parts, trained


@app.cell
def _(Figure, bundle, catalogue, importance, mo, parts):
    found = importance(bundle.encoding.names, {entry.name: entry.family for entry in catalogue}, parts)

    def bars(title, strength, limit=15):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        top = [*strength.items()][:limit][::-1]
        axes.barh([name for name, _ in top], [value for _, value in top])
        axes.set(title=title, xlabel="mean absolute contribution, log-odds")
        return figure

    mo.vstack(
        [
            mo.md(f"""
            ## Over all leads

            Rung **{bundle.rung}**; {len(parts):,} leads of the test window, at creation. Features of a family with
            opposite contributions within a lead cancel in the family.
            """),
            bars("By feature", found.features),
            bars("By family", found.families),
        ]
    )
    return (found,)


@app.cell
def _(mo, trained):
    ranked = trained.predictions.lead_id[trained.predictions.probability.argsort(kind="stable")[::-1]].tolist()
    lead = mo.ui.dropdown(ranked, value=ranked[0], label="Lead, the most probable first", searchable=True)
    mo.vstack([mo.md("## One lead"), lead])
    return (lead,)


@app.cell
def _(Evaluation, bundle, catalogue, explain, features, lead, parts, pd, sigmoid, trained):
    row = trained.predictions.lead_id.tolist().index(lead.value)
    values = features.slice(row, 1).to_pylist()[0]
    explanation = explain(catalogue, bundle.encoding, parts[row], Evaluation({}, {}, {}, values, bundle.fold))
    contributions = pd.DataFrame(explanation.contributions)
    probability = float(sigmoid(parts[row].sum()))
    return contributions, explanation, probability


@app.cell
def _(Figure, contributions, explanation, lead, mo, probability):
    def waterfall():
        top = contributions[contributions["log_odds"] != 0].head(12)[::-1]
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.barh(top["feature"], top["points"], color=["C1" if points < 0 else "C0" for points in top["points"]])
        axes.axvline(0, color="grey", linewidth=1)
        axes.set(title=f"What moves {lead.value}", xlabel="percentage points added to the baseline")
        return figure

    moving = contributions[contributions["log_odds"] != 0]
    mo.vstack(
        [
            mo.md(f"""
            The baseline is {explanation.baseline:.1%}; the features add
            {contributions["points"].sum():+.1f} points; that makes **{probability:.1%}**.
            """),
            *(
                [waterfall(), mo.ui.table(moving, selection=None)]
                if len(moving)
                else [mo.md("No feature moves its probability.")]
            ),
        ]
    )


@app.cell
def _(bundle, found, mo):
    names = [name for name in found.features if name in bundle.encoding.names]
    feature = mo.ui.dropdown(names, value=names[0], label="Feature, the strongest first", searchable=True)
    mo.vstack([mo.md("## One feature"), feature])
    return (feature,)


@app.cell
def _(Figure, bundle, catalogue, feature, mo, np, parts, trained):
    def dependence(name):
        """The value of each test lead against its contribution; one cross a lead shows the spread at one value."""
        column = bundle.encoding.names.index(name)
        encoded, values = bundle.encoding.features[column], trained.test_matrix[:, column]
        missing = np.isnan(values)
        shown = np.where(missing, -1, values) if encoded.kind == "category" else values
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(shown, parts[:, column], marker="x", linestyle="", alpha=0.5)
        axes.set(title=catalogue[name].description, xlabel=catalogue[name].unit, ylabel="contribution, log-odds")
        if encoded.kind == "category":
            axes.set_xticks(range(-1, len(encoded.levels)), ["missing", *encoded.levels], rotation=90)
        elif missing.any():
            axes.axhline(parts[missing, column].mean(), color="grey", linewidth=1, label="missing, on average")
            axes.legend()
        return figure

    direction = {1: "may only raise", -1: "may only lower", 0: "may raise or lower"}[catalogue[feature.value].direction]
    mo.vstack([dependence(feature.value), mo.md(f"By the catalogue, a higher value {direction} the probability.")])


@app.cell
def _(LEADS_A_WEEK, bundle, card, found, lift_at_capacity, mo, trained):
    capacity = lift_at_capacity(trained.predictions, LEADS_A_WEEK)
    card_text = card(bundle, trained.report, found, capacity, {"bundle": bundle.sha256})
    mo.vstack([mo.md("## The model card"), mo.md(card_text)])
    return (card_text,)


if __name__ == "__main__":
    app.run()
