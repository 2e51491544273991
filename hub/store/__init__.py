"""The store: engine, one writer, tables, migrations, the hash-chained audit, and the seal on camera credentials.

SQLite (WAL) is the embedded default, PostgreSQL the same code when a site grows. Every write goes through
`Store.write`, one transaction at a time; the audit chain is appended only there.
"""
