"""The layers that a request passes before its route."""
