"""The one place where this package reads files: those that it ships."""

from importlib import resources


def packaged_texts(folder: str, suffix: str = ".toml") -> dict[str, str]:
    """Return the texts in a folder of this package by file name, sorted; only files with this suffix."""
    found = (
        file for file in resources.files("standards").joinpath(folder).iterdir() if file.name.endswith(suffix)
    )
    return {file.name: file.read_text("utf-8") for file in sorted(found, key=lambda file: file.name)}
