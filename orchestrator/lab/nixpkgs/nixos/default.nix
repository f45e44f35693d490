# lib.nixosSystem: modules of NixOS as far as a lab host lives by them; the rest is carried.
{ lib, packagesFor }:
let
  nixosSystem =
    {
      modules,
      system ? null,
      specialArgs ? { },
    }:
    let
      pkgs = packagesFor (if system == null then "x86_64-linux" else system);
      evaluated = lib.evalModules {
        modules = import ./module-list.nix ++ modules;
        carried = import ./carried.nix;
        specialArgs = {
          inherit pkgs extendModules noUserModules;
          modulesPath = toString ./.;
        }
        // specialArgs;
      };
      # The same with more modules, of which some may disable others.
      extendModules =
        more:
        nixosSystem {
          inherit system;
          modules = modules ++ more.modules or [ ];
          specialArgs = specialArgs // more.specialArgs or { };
        };
      noUserModules = nixosSystem {
        inherit system specialArgs;
        modules = [ ];
      };
    in
    evaluated
    // {
      inherit pkgs extendModules;
    };
in
nixosSystem
