# What every host has: a small web server with its exporter, as real fleets have many.
{ lib, ... }:
{
  # What Colmena asks of a host's configuration; its own module has the same names.
  options.deployment = lib.mkOption {
    type = lib.types.attrsOf lib.types.unspecified;
    description = "How Colmena reaches the host.";
  };

  config = {
    deployment = {
      targetPort = null;
      targetUser = "root";
      allowLocalDeployment = false;
      buildOnTarget = false;
      replaceUnknownProfiles = true;
      privilegeEscalationCommand = [
        "sudo"
        "-H"
        "--"
      ];
      sshOptions = [ ];
      tags = [ ];
      keys = { };
    };

    boot.loader.systemd-boot.enable = true;
    fileSystems."/" = {
      device = "/dev/disk/by-label/nixos";
      fsType = "ext4";
    };
    services.openssh.enable = true;
    services.nginx.enable = true;
    services.prometheus.exporters.node.enable = true;
    system.stateVersion = "25.05";
  };
}
