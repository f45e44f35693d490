"""A declarative deployment orchestrator for NixOS fleets."""
