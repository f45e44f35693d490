# The machines of the VM tests: who deploys, and whom.
{
  lib,
  closureInfo,
  runCommand,
  writeText,
  orchestrator,
}:
let
  # OpenSSH's own test key (regress/misc/fuzz-harness/fixed-keys.h), which everybody has.
  publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDPQXmEVMVLmeFRyafKMVWgPDkv8/uRBTwmcEDatZzMD deployer";

  # All that a system is built of, and not the system: the deployer builds that.
  ingredients =
    name: toplevel:
    let
      attributes = writeText "${name}.json" (builtins.toJSON toplevel.drvAttrs);
    in
    ''
      mkdir -p $out/variants/${name}
      cp ${attributes} $out/variants/${name}/system.json
      cp ${closureInfo { rootPaths = [ attributes ]; }}/store-paths $out/variants/${name}/store-paths
    '';

  fleet =
    {
      variants,
      inventory,
      more,
    }:
    runCommand "fleet" { } ''
      mkdir -p $out/inventory $out/tests/verify
      cp ${./fleet/flake.nix} $out/flake.nix
      cp ${./fleet/verify.py} $out/tests/verify/test_every_host.py
      cp ${writeText "hosts.yaml" (builtins.toJSON inventory)} $out/inventory/hosts.yaml
      ${more}
      ${lib.concatStringsSep "\n" (lib.mapAttrsToList ingredients variants)}
    '';

  # Nobody answers in a test's network: Nix is not to ask.
  offline = {
    nix.settings.substituters = lib.mkForce [ ];
  };
in
{
  inherit offline publicKey;

  # Who may come in, and what each variant changes.
  reached = {
    services.openssh.enable = true;
    users.users.root.openssh.authorizedKeys.keys = [ publicKey ];
    users.users.deploy = {
      isNormalUser = true;
      extraGroups = [ "wheel" ];
      openssh.authorizedKeys.keys = [ publicKey ];
    };
    security.sudo.wheelNeedsPassword = false;
    environment.etc.variant.text = lib.mkDefault "first\n";
  };

  # A module of each variant's own, and what tells it from the others.
  named = lib.mapAttrs (
    name: module: {
      imports = [ module ];
      environment.etc.variant.text = "${name}\n";
    }
  );

  # A machine with a boot loader and a store of its own, and the systems that it will be given.
  host =
    variants:
    { extendModules, ... }:
    {
      imports = [ offline ];
      virtualisation = {
        useBootLoader = true;
        diskSize = 4096;
        memorySize = 1024;
      };
      boot.growPartition = true;
      # One that is kept over a boot: by it a machine is known.
      environment.etc."machine-id".text = "0c3f1d5e2b7a4986a1d4e8f20b6c9375\n";
      system.switch.enable = true;
      system.build.variants = lib.mapAttrs (
        _: module: (extendModules { modules = [ module ]; }).config.system.build.toplevel
      ) variants;
    };

  # `variants`: systems by name. `settings`: what the inventory says of `web` beside its address.
  # `more`: what else is in the fleet, as a script.
  deployer =
    {
      variants,
      settings ? { },
      more ? "",
    }:
    { pkgs, ... }:
    {
      imports = [ offline ];
      # The store of a test's machine has two layers, and what is built has to be linked across.
      nix.settings.sandbox = false;
      environment.systemPackages = [
        orchestrator
        pkgs.git
      ];
      environment.etc.fleet.source = fleet {
        inherit variants more;
        inventory = {
          # The image of a test's machine is hardly larger than its content.
          defaults.preflight.store_margin = "16M";
          hosts.web = {
            system = pkgs.stdenv.hostPlatform.system;
          }
          // settings;
        };
      };
      environment.etc.deployer-key = {
        source = ./key;
        mode = "0600";
      };
      virtualisation = {
        cores = 2;
        diskSize = 4096;
        memorySize = 2048;
        # A system is built here.
        writableStore = true;
        writableStoreUseTmpfs = false;
      };
    };
}
