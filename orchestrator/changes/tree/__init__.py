"""The fleet's files as Nix sees them; see ``README.md``."""
