# system.activationScripts: pieces of shell that run on each activation, in the order of `deps`.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  piece = {
    options.text = mkOption {
      type = types.lines;
      default = "";
      description = "What runs.";
    };
    options.deps = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Pieces that run before it.";
    };
    options.supportsDryActivation = mkOption {
      type = types.bool;
      default = false;
      description = "Carried; a dry activation runs nothing here.";
    };
  };

  pieces = config.system.activationScripts;

  # Depth first: what a piece depends on, then the piece.
  order =
    done: name:
    if builtins.elem name done || !pieces ? ${name} then
      done
    else
      builtins.foldl' order done pieces.${name}.deps ++ [ name ];
in
{
  options.system.activationScripts = mkOption {
    type = types.attrsOf (
      types.coercedTo types.str (text: { inherit text; }) (types.submodule piece)
    );
    default = { };
    description = "What runs on each activation.";
  };
  options.system.userActivationScripts = mkOption {
    type = types.attrsOf (
      types.coercedTo types.str (text: { inherit text; }) (types.submodule piece)
    );
    default = { };
    description = "What each user's own manager runs on each activation.";
  };
  options.system.build = mkOption {
    type = types.lazyAttrsOf types.unspecified;
    default = { };
    description = "What is built of a configuration.";
  };

  config.systemd.user.services.nixos-activation = {
    description = "Run user-specific NixOS activation";
    script = lib.concatStringsSep "\n" (
      [ ":" ] ++ map (one: one.text) (builtins.attrValues config.system.userActivationScripts)
    );
    unitConfig.ConditionUser = "!@system";
    restartIfChanged = false;
    serviceConfig.RemainAfterExit = true;
    serviceConfig.Type = "oneshot";
    wantedBy = [ "default.target" ];
  };

  # A piece's text is an argument, quoted: whatever is in it, it is one piece.
  config.system.build.activationPieces = lib.concatMapStrings (
    name: "piece ${lib.escapeShellArg name} ${lib.escapeShellArg pieces.${name}.text}\n"
  ) (builtins.foldl' order [ ] ([ "users" ] ++ builtins.attrNames pieces));
}
