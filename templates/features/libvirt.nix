# Virtual machines.
{ config, lib, ... }:
{
  virtualisation.libvirtd = {
    enable = true;
    onShutdown = lib.mkDefault "shutdown";
    qemu = {
      runAsRoot = lib.mkDefault false;
      # Guests that want a TPM.
      swtpm.enable = lib.mkDefault true;
    };
  };
  programs.virt-manager.enable = lib.mkDefault (lib.elem "desktop" config.fleet.features);

  environment.etc."fleet/features/libvirt".text = "Virtual machines, by libvirt.\n";
}
