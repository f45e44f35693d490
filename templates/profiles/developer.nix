# Somebody writes programs on it. Compilers, containers and virtual machines are features.
{ lib, ... }:
{
  # Sources of what was built stay when garbage is collected: no second download.
  nix.settings.keep-outputs = lib.mkDefault true;
  # Manuals of libraries, too.
  documentation.dev.enable = lib.mkDefault true;

  environment.etc."fleet/profiles/developer".text = "Compilers and editors.\n";
}
