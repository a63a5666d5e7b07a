"""Partner operations as pure functions over records; databases, HTTP and the system clock stay outside."""
