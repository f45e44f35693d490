"""Nix's verbs: evaluate, build, store, logs, caches, closures."""
