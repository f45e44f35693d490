"""``validate``, ``check-syntax``, ``format``, ``update``, ``doctor``."""
