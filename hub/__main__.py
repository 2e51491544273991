"""``python -m hub`` is the same program as ``camhub``."""

from hub.cli import main

if __name__ == "__main__":
    main()
