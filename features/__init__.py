"""Records, the catalogue of features, and the engines that evaluate it. Knows no models, HTTP or MLflow."""
