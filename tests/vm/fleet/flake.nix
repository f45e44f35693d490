# The fleet of the VM tests. Its deployer has no nixpkgs and no network: what builds a system is in
# `variants/`, written by ../fleet.nix, and NixOS's own builder of it is run there.
{
  outputs =
    _:
    let
      # As it was evaluated outside; a string from a file has no context, so what is needed is named.
      system =
        variant:
        let
          attributes = builtins.fromJSON (builtins.readFile (./variants + "/${variant}/system.json"));
          lines = builtins.split "\n" (builtins.readFile (./variants + "/${variant}/store-paths"));
          needed = map (name: {
            inherit name;
            value.path = true;
          }) (builtins.filter (line: builtins.isString line && line != "") lines);
        in
        derivation (
          attributes
          // {
            builder = builtins.appendContext attributes.builder (builtins.listToAttrs needed);
          }
        );

      # `chosen/HOST` says which variant the host gets: to change a host is to change that file.
      host = name: _: {
        config = {
          system.build.toplevel = system (builtins.readFile (./chosen + "/${name}"));
          age = if builtins.pathExists ./age.nix then import ./age.nix else { };
        };
      };
    in
    {
      nixosConfigurations = builtins.mapAttrs host (builtins.readDir ./chosen);
    };
}
