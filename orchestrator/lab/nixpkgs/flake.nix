{
  description = "A small stand-in for nixpkgs: as much of it as a lab host needs";

  # Itself: it stands for agenix too, whose `nixpkgs` a fleet has follow its own.
  inputs.nixpkgs.follows = "";

  outputs =
    { self, ... }:
    let
      lib = import ./lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      packagesFor = system: import ./pkgs { inherit lib system; };
    in
    {
      lib = lib // {
        nixosSystem = import ./nixos { inherit lib packagesFor; };
      };

      # What a fleet's input `agenix` is in its lab: the module that every host here has.
      nixosModules = lib.genAttrs [
        "age"
        "default"
      ] (_: ./nixos/age.nix);

      legacyPackages = lib.genAttrs systems packagesFor;

      # What a machine runs after the installer: the first generation of every lab host.
      packages = lib.genAttrs systems (system: {
        installed =
          (self.lib.nixosSystem {
            inherit system;
            modules = [
              {
                networking.hostName = "";
                system.name = "installed";
              }
            ];
          }).config.system.build.toplevel;
      });
    };
}
