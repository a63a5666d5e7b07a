"""The store, the API and the pages. Never fits a model, never loads MLflow."""
