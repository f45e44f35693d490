{
  description = "A fleet's nixpkgs, whose systems are a lab's hosts";

  inputs.nixpkgs.url = "@nixpkgs@";

  outputs =
    { nixpkgs, ... }:
    let
      lab = builtins.fromJSON (builtins.readFile ./lab.json);
      profile = import ./lab.nix lab;
      nixosSystem = args: nixpkgs.lib.nixosSystem (args // { modules = args.modules ++ [ profile ]; });
      installed = nixosSystem {
        inherit (lab) system;
        modules = [ ./installed.nix ];
      };
    in
    nixpkgs
    // {
      lib = nixpkgs.lib // {
        inherit nixosSystem;
      };
      packages = nixpkgs.packages or { } // {
        ${lab.system} = nixpkgs.packages.${lab.system} or { } // {
          installed = installed.config.system.build.toplevel;
        };
      };
    };
}
