"""The HTTP side: what a request may hold, how it is read, and how it is refused."""
