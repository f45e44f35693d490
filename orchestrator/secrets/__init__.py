"""Secrets that hosts decrypt with agenix: proved, listed, written."""
