"""Health: measured liveness of each camera, since when and why. Never measured stays not measured."""
