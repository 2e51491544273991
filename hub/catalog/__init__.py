"""The catalog: what the hub knows about cameras, who answers for them, where they are and what was consented to.

Every change is one transaction with its audit record in it, and is told on the event bus after it is durable.
"""
