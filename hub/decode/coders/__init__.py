"""Coders of H.264: libx264, and those of this machine's hardware, which code in a process of their own after a trial."""
