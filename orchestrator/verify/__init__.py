"""Verification: pytest-testinfra suites, run over the deployment's own connection."""
