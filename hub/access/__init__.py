"""Access: who may do and see what (pure), people and how they sign in, and the audit log.

`hub.access.decide` is asked for every byte of picture. No role passes it by, the administrator's included.
"""
