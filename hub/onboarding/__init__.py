"""Onboarding: permission, probe, assessment, consent gate, admission; nothing half-written on the way."""
