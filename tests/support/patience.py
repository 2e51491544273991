"""How long a test waits for what must come: longer than any busy machine takes, since only what is broken waits it out."""

PATIENCE_S = 60.0
