"""The hub composes: catalog, onboarding, compliance, relay, access, store, HTTP API and command line."""
