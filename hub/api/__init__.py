"""The HTTP API: Litestar controllers, one module per resource, and what every reply has in common."""
