"""Secrets, drawn: what is wrong with them, who reads them."""
