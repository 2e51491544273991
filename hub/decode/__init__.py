"""Decoding apart: FFmpeg meets camera bytes only in a confined process of its own (docs/design/decode.md)."""
