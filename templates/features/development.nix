# What people write programs with, by language.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.fleet.settings.development) languages;
  tools = {
    c = [
      pkgs.gcc
      pkgs.gdb
    ];
    go = [
      pkgs.go
      pkgs.gopls
    ];
    java = [
      pkgs.jdk
      pkgs.maven
    ];
    nix = [ pkgs.nil ];
    node = [ pkgs.nodejs ];
    python = [
      pkgs.python3
      pkgs.uv
    ];
    rust = [
      pkgs.cargo
      pkgs.rustc
      pkgs.rust-analyzer
    ];
    shell = [
      pkgs.shellcheck
      pkgs.shfmt
    ];
  };
in
{
  environment.systemPackages = lib.concatMap (language: tools.${language}) languages;

  environment.etc."fleet/features/development".text = lib.concatLines languages;
}
