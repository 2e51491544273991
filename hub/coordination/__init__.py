"""Coordination: events between rooms, rate limits, and the device book of cool-downs and probe slots.

One interface, two ways: inside one process (the device book in the store, so that a cool-down outlives a restart),
or over Redis when several nodes serve one hub.
"""
