"""Partner operations as pure functions over records: no databases, no HTTP, no system clock."""
