# age.secrets: files that are decrypted on the host at activation, with agenix's options and ways.
# https://github.com/ryantm/agenix (modules/age.nix of 0.15): a generation in a ramfs, linked last; one
# that cannot be decrypted does not hold up the others, and makes the activation fail.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.age;

  string =
    default: description:
    mkOption {
      type = types.str;
      inherit default description;
    };

  secret =
    { name, config, ... }:
    {
      options = {
        name = string name "What the file is called in `age.secretsDir`.";
        file = mkOption {
          type = types.path;
          description = "The encrypted file.";
        };
        path = string "${cfg.secretsDir}/${config.name}" "Where the decrypted file is to be found.";
        mode = string "0400" "Permissions, as chmod takes them.";
        owner = string "0" "Who owns it.";
        group = string (users.${config.owner}.group or "0") "Whose group it has.";
        symlink = mkOption {
          type = types.bool;
          default = true;
          description = "Whether `path` is a link to the file and not the file itself.";
        };
      };
    };
  users = config.users.users;
  secrets = builtins.attrValues cfg.secrets;

  # Words of a line are arguments; the functions that take them are in `age.sh`.
  each =
    function: fields:
    lib.concatMapStrings (
      one: "${function} ${lib.escapeShellArgs (map (field: "${one.${field}}") fields)}\n"
    ) (map (one: one // { symlink = if one.symlink then "1" else ""; }) secrets);
  prelude = ''
    age=${lib.escapeShellArg cfg.ageBin}
    mount_point=${lib.escapeShellArg cfg.secretsMountPoint}
    secrets_dir=${lib.escapeShellArg cfg.secretsDir}
    ${builtins.readFile ./age.sh}
  '';
in
{
  options.age = {
    ageBin = string "${pkgs.age}/bin/age" "The program that decrypts.";
    secrets = mkOption {
      type = types.attrsOf (types.submodule secret);
      default = { };
      description = "Secrets.";
    };
    secretsDir = mkOption {
      type = types.path;
      default = "/run/agenix";
      description = "Where secrets are found.";
    };
    secretsMountPoint = string "/run/agenix.d" "Where their generations are kept.";
    identityPaths = mkOption {
      type = types.listOf types.str;
      default = lib.optionals config.services.openssh.enable (
        map (key: key.path) (
          builtins.filter (
            key:
            builtins.elem key.type [
              "rsa"
              "ed25519"
            ]
          ) config.services.openssh.hostKeys
        )
      );
      description = "Private keys that decrypt; those that are not there are passed over.";
    };
  };

  config = lib.mkIf (cfg.secrets != { }) {
    assertions = [
      {
        assertion = cfg.identityPaths != [ ];
        message = "age.identityPaths must be set, for example by enabling openssh.";
      }
    ];
    # Before accounts are made, so that an account's password may be a secret; owners come after.
    system.activationScripts.agenixInstall.text = ''
      ${prelude}
      identities ${lib.escapeShellArgs cfg.identityPaths}
      new_generation
      ${each "install" [
        "file"
        "name"
        "path"
        "mode"
        "symlink"
      ]}
      finish
    '';
    system.activationScripts.users.deps = [ "agenixInstall" ];
    system.activationScripts.agenixChown = {
      deps = [ "users" ];
      text = ''
        ${prelude}
        ${each "own" [
          "name"
          "path"
          "owner"
          "group"
          "symlink"
        ]}
      '';
    };
  };
}
