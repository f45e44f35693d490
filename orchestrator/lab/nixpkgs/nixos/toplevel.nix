# system.build.toplevel: one derivation with all that a generation is.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  carry = import ./carry.nix { inherit lib; };
  release = "25.05.standin";
  failed = builtins.filter (one: !one.assertion) config.assertions;
  checked =
    value:
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (one: "- ${one.message}") failed}"
    else
      builtins.foldl' (
        rest: warning: builtins.trace "evaluation warning: ${warning}" rest
      ) value config.warnings;

  files = builtins.filter (one: one.enable) (builtins.attrValues config.environment.etc);
  # Each file is two variables of the build; a name is data and never part of the script.
  entry =
    index: one:
    let
      number = toString index;
    in
    {
      "target_${number}" = one.target;
      "mode_${number}" = "${one.mode} ${one.user} ${one.group}";
    }
    // (
      if one.source != null then
        { "source_${number}" = "${one.source}"; }
      else if one.text != null then
        { "text_${number}" = one.text; }
      else
        throw "environment.etc.\"${one.target}\" has neither text nor source"
    );
  entries = lib.imap0 entry files;

  variants = lib.mapAttrsToList (name: one: {
    inherit name;
    path = one.configuration.system.build.toplevel;
  }) config.specialisation;
  variant = index: one: {
    "variant_name_${toString index}" = one.name;
    "variant_path_${toString index}" = "${one.path}";
  };

  limit = config.boot.loader.systemd-boot.configurationLimit;
in
{
  options.system.name = mkOption {
    type = types.str;
    default = if config.networking.hostName == "" then "unnamed" else config.networking.hostName;
    description = "What the system is called in the store.";
  };
  options.system.stateVersion = mkOption {
    type = types.str;
    default = release;
    description = "The release that the host was installed with.";
  };
  options.system.nixos.version = mkOption {
    type = types.str;
    default = release;
    description = "The release that this is.";
  };

  config.system.build.toplevel = checked (
    pkgs.runCommand "nixos-system-${config.system.name}-${config.system.nixos.version}"
      (
        lib.mergeAttrsList (entries ++ lib.imap0 variant variants)
        // {
          count = builtins.length files;
          variantCount = builtins.length variants;
          activate = "${./activate.sh}";
          changedUnits = "${./changed-units.sh}";
          switchUser = "${./switch-user.sh}";
          switch = lib.optionalString config.system.switch.enable "${./switch-to-configuration.sh}";
          boot = "${./boot.sh}";
          loaders = "${./loaders.sh}";
          loader = config.system.build.loader.kind;
          tries = toString config.system.build.loader.tries;
          inherit (config.system.build.bootParts) kernel initrd systemd;
          kernelParams = config.system.build.bootParts.params;
          inherit (config.system.build) inhibitors preSwitchChecks;
          initInterface = "systemd ${toString (config.systemd.package.interfaceVersion or 2)}";
          pieces = config.system.build.activationPieces;
          units = config.system.build.units;
          wants = config.system.build.unitWants;
          packages = map toString config.environment.systemPackages;
          carriedOptions = carry (import ./carried.nix) options config;
          version = config.system.nixos.version;
          usersSpec = config.system.build.usersSpec;
          limit = if limit == null then "999999" else toString limit;
          hostPlatform = pkgs.system;
          applets = pkgs.busybox;
        }
      )
      (builtins.readFile ./build-toplevel.sh)
  );
}
