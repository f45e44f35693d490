# Serves its Nix store to the fleet, on port 5000.
{ ... }:
let
  port = 5000;
in
{
  services.nix-serve = {
    enable = true;
    inherit port;
    openFirewall = true;
    # Read by the service when it starts, never by the evaluation.
    secretKeyFile = "/var/lib/nix-serve/secret-key";
  };

  fleet.ports.binary-cache = port;
  environment.etc."fleet/features/binary-cache".text = "Serves the store, on port ${toString port}.\n";
}
