"""Hosts that did not answer: what waits for them is delivered."""
