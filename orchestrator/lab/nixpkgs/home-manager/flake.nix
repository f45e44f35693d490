{
  description = "A small stand-in for Home Manager: as much of it as a lab host's users need";

  # Itself: whatever `nixpkgs` a fleet has Home Manager follow, a host's own packages are taken.
  inputs.nixpkgs.follows = "";

  outputs = _: {
    nixosModules = rec {
      home-manager = ./nixos.nix;
      default = home-manager;
    };
  };
}
