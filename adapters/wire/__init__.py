"""What every adapter shares: the guarded dialer, Digest, safe XML, the credential gate, redaction.

May be imported by every adapter; imports none of them.
"""
