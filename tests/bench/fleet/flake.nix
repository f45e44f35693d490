# Hosts that cost what real NixOS costs to evaluate, and that a lab can build and run.
{
  # @INPUTS@

  outputs =
    { nixpkgs, real, ... }@inputs:
    let
      system = "x86_64-linux";
      names = builtins.attrNames (builtins.readDir ./hosts);
      hosts = nixpkgs.lib.genAttrs names (import ./host.nix { inherit nixpkgs real system; });
    in
    {
      nixosConfigurations = hosts;

      # The shapes that other tools read, of the same hosts.
      colmenaHive = import ./colmena-hive.nix { inherit (nixpkgs) lib; } hosts;
      deploy.nodes = builtins.mapAttrs (import ./deploy-node.nix {
        pkgs = nixpkgs.legacyPackages.${system};
        activate = "${inputs.activate}/activate";
      }) hosts;
    };
}
