# A desktop of one's own from afar, by RDP; only the private network gets to it.
{ lib, pkgs, ... }:
let
  port = 3389;
in
{
  services.xrdp = {
    enable = true;
    inherit port;
    defaultWindowManager = lib.mkDefault (lib.getExe' pkgs.icewm "icewm-session");
  };
  networking.firewall.interfaces.tailscale0.allowedTCPPorts = [ port ];

  fleet.ports.remote-desktop = port;
  environment.etc."fleet/features/remote-desktop".text =
    "RDP, on port ${toString port} of tailscale0.\n";
}
