"""Compliance: probe a camera and judge what was seen. `Checker` needs no hub around it; `camhub check` uses it bare."""
