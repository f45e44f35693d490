# lib.nixosSystem: modules of NixOS as far as a lab host lives by them; the rest is carried.
{ lib, packagesFor }:
{
  modules,
  system ? null,
  specialArgs ? { },
}:
let
  evaluated = lib.evalModules {
    modules = import ./module-list.nix ++ modules;
    carried = import ./carried.nix;
    specialArgs = {
      pkgs = packagesFor (if system == null then "x86_64-linux" else system);
      modulesPath = toString ./.;
    }
    // specialArgs;
  };
in
evaluated // { pkgs = packagesFor (if system == null then "x86_64-linux" else system); }
