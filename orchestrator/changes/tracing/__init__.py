"""Which files an evaluation by Nix really asks for."""
