# Printing, on printers that announce themselves.
{ ... }:
{
  services.printing.enable = true;
  services.avahi = {
    enable = true;
    nssmdns4 = true;
  };

  fleet.ports.printing = 631;
  environment.etc."fleet/features/printing".text = "Printing.\n";
}
