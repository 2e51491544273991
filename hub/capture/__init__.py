"""`camhub capture`: one's own camera as a redacted bundle, and the server that plays a bundle back.

`recorder` listens, `heads` cuts packets down to their headers, `bundle` redacts and lays out, `inspect` searches what was
written, `replay` plays it back, `run` does it all in order. The format is in ``docs/ref/capture.md``.
"""
