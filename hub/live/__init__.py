"""Live views: decided, started, renewed while allowed, cut, and receipted. See docs/design/live.md."""
