# environment.etc: files below /etc. They are links into the generation unless `mode` says else.
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;

  file =
    { name, config, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the file is there.";
        };
        target = mkOption {
          type = types.str;
          default = name;
          description = "Where, relative to /etc.";
        };
        text = mkOption {
          type = types.nullOr types.lines;
          default = null;
          description = "What is in it.";
        };
        source = mkOption {
          type = types.nullOr types.path;
          default = null;
          description = "The file to show there, where it is not `text`.";
        };
        mode = mkOption {
          type = types.str;
          default = "symlink";
          description = "`symlink`, or the octal mode of a copy.";
        };
        user = mkOption {
          type = types.str;
          default = "root";
          description = "Who owns a copy.";
        };
        group = mkOption {
          type = types.str;
          default = "root";
          description = "Whose group a copy has.";
        };
      };
    };
in
{
  options.environment.etc = mkOption {
    type = types.attrsOf (types.submodule file);
    default = { };
    description = "Files below /etc.";
  };
}
