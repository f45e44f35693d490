# A user's home: files, packages, and one derivation with all that a generation of it is.
carry:
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;

  file =
    { name, ... }:
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
          description = "Where, relative to the home.";
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
        executable = mkEnableOption "its being a program";
        force = mkEnableOption "putting it where something else is";
      };
    };
  files =
    description:
    mkOption {
      type = types.attrsOf (types.submodule file);
      default = { };
      inherit description;
    };
  variables =
    description:
    mkOption {
      type = types.attrsOf (types.oneOf [ types.str types.path types.number ]);
      default = { };
      inherit description;
    };

  cfg = config.home;
  shown = builtins.filter (one: one.enable) (builtins.attrValues cfg.file);
  # Each file is variables of the build; a name is data and never part of the script.
  entry =
    index: one:
    let
      number = toString index;
    in
    {
      "target_${number}" = one.target;
      "force_${number}" = lib.optionalString one.force "1";
      "executable_${number}" = lib.optionalString one.executable "1";
    }
    // (
      if one.source != null then
        { "source_${number}" = "${one.source}"; }
      else if one.text != null then
        { "text_${number}" = one.text; }
      else
        throw "home.file.\"${one.target}\" has neither text nor source"
    );
  exports = lib.concatStrings (
    lib.mapAttrsToList (name: value: "export ${name}=${lib.escapeShellArg value}\n") cfg.sessionVariables
  );
in
{
  options.home = {
    username = mkOption {
      type = types.str;
      description = "The login.";
    };
    homeDirectory = mkOption {
      type = types.path;
      description = "The home folder.";
    };
    # No default, as in Home Manager: it says what the home was made with.
    stateVersion = mkOption {
      type = types.strMatching "[0-9]{2}\\.[0-9]{2}";
      description = "The release that the home was made with.";
    };
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages on the user's path.";
    };
    file = files "Files in the home.";
    sessionVariables = variables "Variables of the user's sessions.";
    path = mkOption {
      type = types.package;
      readOnly = true;
      description = "The packages, as one.";
    };
    activationPackage = mkOption {
      type = types.package;
      readOnly = true;
      description = "The home as a generation.";
    };
  };
  options.xdg.configFile = files "Files below ~/.config.";

  config.home = {
    file = lib.mapAttrs' (
      name: one:
      lib.nameValuePair ".config/${name}" (one // { target = ".config/${one.target}"; })
    ) config.xdg.configFile;
    path = pkgs.buildEnv {
      name = "home-manager-path";
      paths = cfg.packages ++ [
        (pkgs.writeTextDir "etc/profile.d/hm-session-vars.sh" exports)
      ];
    };
    activationPackage = pkgs.runCommand "home-manager-generation" (
      lib.mergeAttrsList (lib.imap0 entry shown)
      // {
        count = builtins.length shown;
        activate = "${./activate.sh}";
        home = cfg.homeDirectory;
        path = "${cfg.path}";
        inherit (cfg) stateVersion;
        carriedOptions = carry (import ./carried.nix) options config;
        applets = "${pkgs.busybox}";
      }
    ) (builtins.readFile ./build.sh);
  };
}
