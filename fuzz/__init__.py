"""Fuzzing: what a camera, a viewer or a stranger can send, thrown at every parser. See docs/design/fuzzing.md."""
