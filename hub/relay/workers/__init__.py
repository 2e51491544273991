"""The processes that relay, and the hub's side of them."""
