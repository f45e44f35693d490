# The host's name; all other networking is the lab's and carried only.
{ config, lib, ... }:
{
  options.networking.hostName = lib.mkOption {
    # RFC 1123 section 2.1, as NixOS has it.
    type = lib.types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$";
    default = "nixos";
    description = "The name of the machine; the empty one leaves it the name that it has.";
  };

  config.environment.etc."hostname" = lib.mkIf (config.networking.hostName != "") {
    text = "${config.networking.hostName}\n";
    mode = "0644";
  };
}
