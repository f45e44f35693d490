# Closes what few need and attackers use.
{ lib, ... }:
{
  boot.kernel.sysctl = {
    "kernel.dmesg_restrict" = 1;
    "kernel.kptr_restrict" = 2;
    "kernel.unprivileged_bpf_disabled" = 1;
    # A process reads the memory of its children alone.
    "kernel.yama.ptrace_scope" = lib.mkDefault 1;
    "net.ipv4.conf.all.accept_redirects" = 0;
    "net.ipv4.conf.all.send_redirects" = 0;
    "net.ipv6.conf.all.accept_redirects" = 0;
    "net.core.bpf_jit_harden" = 2;
  };

  # Network protocols that are loaded by whoever asks, and rarely looked after.
  boot.blacklistedKernelModules = [
    "dccp"
    "rds"
    "sctp"
    "tipc"
  ];

  services.openssh.settings = {
    KbdInteractiveAuthentication = lib.mkDefault false;
    X11Forwarding = lib.mkDefault false;
  };

  environment.etc."fleet/features/hardening".text = "Closes what few need.\n";
}
