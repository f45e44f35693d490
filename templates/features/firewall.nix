# Refuses what is not asked for. sshd and the other features open their own ports.
{ ... }:
{
  networking.firewall = {
    enable = true;
    allowPing = true;
    # A host on the internet would log little else.
    logRefusedConnections = false;
  };

  environment.etc."fleet/features/firewall".text = "Refuses what is not asked for.\n";
}
