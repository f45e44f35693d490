# Stand-ins for the fleet's secrets: each is one file, encrypted to the lab's hosts, whatever it is for.
lab:
{ lib, ... }:
{
  options.age.secrets = lib.mkOption {
    type = lib.types.attrsOf (lib.types.submodule { file = lib.mkForce ./placeholder.age; });
  };
}
