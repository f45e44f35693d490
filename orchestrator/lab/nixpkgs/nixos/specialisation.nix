# specialisation: variants of a system, each with a toplevel of its own below the parent's.
{
  config,
  extendModules,
  lib,
  noUserModules,
  ...
}:
let
  inherit (lib) mkOption types;

  variant =
    { config, ... }:
    {
      options.inheritParentConfig = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the variant has all that the parent says.";
      };
      options.configuration = mkOption {
        # As NixOS's: what is said here makes a configuration, and that is what is read here.
        type = types.raw // {
          name = "Toplevel NixOS config";
          merge =
            _: definitions:
            let
              said = map (one: one.value) definitions;
              # A variant has no variants.
              none.specialisation = lib.mkOverride 0 { };
              extend = if config.inheritParentConfig then extendModules else noUserModules.extendModules;
            in
            (extend { modules = said ++ [ none ]; }).config;
        };
        default = { };
        description = "Modules, on top of the parent's.";
      };
    };
in
{
  options.specialisation = mkOption {
    type = types.attrsOf (types.submodule variant);
    default = { };
    description = "Variants of the system.";
  };

  config.assertions = map (name: {
    assertion = builtins.match ".*/.*" name == null;
    message = "Specialisation names must not contain forward slashes.\nInvalid specialisation name: ${name}";
  }) (builtins.attrNames config.specialisation);
}
