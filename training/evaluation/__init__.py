"""The evaluation of a model: metrics, lift, importance, plots, the model card and the frozen test window."""
