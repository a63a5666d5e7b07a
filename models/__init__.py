"""Hard rules, close probability, explanation, decision and the bundle on disk. Code only, no artefacts."""
