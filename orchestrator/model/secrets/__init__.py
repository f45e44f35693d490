"""Secrets as values: rules, ciphertexts, findings, changes."""
