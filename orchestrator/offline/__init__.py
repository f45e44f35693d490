"""Hosts that do not answer: what waits for them, and its delivery."""
