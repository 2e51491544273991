"""Adapters talk to devices. They return observations and media sources and know nothing of the hub."""
