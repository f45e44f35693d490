# checks.<system>.vm-*: deployments of real NixOS machines, by NixOS's own test driver (README.md).
{
  lib,
  stdenv,
  testers,
  closureInfo,
  runCommand,
  writeText,
  age,
  python3,
  orchestrator,
  inputs,
}:
let
  machines = import ./fleet.nix {
    inherit
      lib
      closureInfo
      runCommand
      writeText
      orchestrator
      ;
  };
  inherit (machines) host named reached;
  deployer = given: { nodes, ... }: {
    imports = [
      (machines.deployer ({ variants = nodes.web.system.build.variants; } // given))
    ];
  };

  test =
    name: nodes:
    testers.runNixOSTest {
      name = "orchestrator-${name}";
      inherit nodes;
      testScript = builtins.readFile ./scripts/common.py + builtins.readFile ./scripts/${script name}.py;
    };
  script = name: if loaders ? ${name} then "loader" else name;

  isArm = stdenv.hostPlatform.system == "aarch64-linux";
  loaders = {
    systemd-boot = {
      virtualisation.useEFIBoot = true;
      boot.loader.systemd-boot.enable = true;
      boot.loader.efi.canTouchEfiVariables = true;
    };
    grub = {
      # Without EFI, where the machine can be had without.
      virtualisation.useEFIBoot = isArm;
      boot.loader.grub = {
        enable = true;
        efiSupport = isArm;
        efiInstallAsRemovable = isArm;
      };
    };
  };

  # systemd-boot as root; GRUB as somebody with sudo.
  loader =
    name: module:
    test name {
      web.imports = [
        reached
        module
        (host (named {
          next = { };
          last = { };
          broken = { };
          slow = { };
        }))
      ];
      deployer = deployer { settings.connect.user = if name == "grub" then "deploy" else "root"; };
    };

  # One machine: the deployer, and in it a container with a store of its own, as LXC's are. What it boots
  # is its profile.
  container =
    let
      folder = "/var/lib/machines/web";
      systems = lib.mapAttrs (
        _: module:
        (inputs.nixpkgs.lib.nixosSystem {
          inherit (stdenv.hostPlatform) system;
          modules = [
            reached
            machines.offline
            module
            {
              boot.isContainer = true;
              networking = {
                hostName = "web";
                useDHCP = false;
                useHostResolvConf = false;
                interfaces.host0.ipv4.addresses = [
                  {
                    address = "10.88.0.2";
                    prefixLength = 24;
                  }
                ];
              };
              system.stateVersion = "25.05";
            }
          ];
        }).config.system.build.toplevel
      ) (named (lib.genAttrs [ "first" "next" "broken" ] (_: { })));
    in
    test "container" {
      deployer =
        { config, pkgs, ... }:
        {
          imports = [
            (machines.deployer {
              variants = removeAttrs systems [ "first" ];
              settings.connect.user = "root";
            })
          ];
          networking.hosts."10.88.0.2" = [ "web" ];
          environment.etc.container-system.source = systems.first;
          systemd.services.web = {
            description = "The container that is deployed";
            path = [ pkgs.iproute2 ];
            environment.SYSTEMD_NSPAWN_UNIFIED_HIERARCHY = "1";
            serviceConfig = {
              Type = "notify";
              ExecStart =
                "${config.systemd.package}/bin/systemd-nspawn --keep-unit --machine=web --directory=${folder}"
                + " --network-veth --notify-ready=yes --kill-signal=SIGRTMIN+3 /nix/var/nix/profiles/system/init";
              SuccessExitStatus = "133";
              Delegate = true;
              KillMode = "mixed";
            };
            postStart = ''
              ip address replace 10.88.0.1/24 dev ve-web
              ip link set ve-web up
            '';
          };
        };
    };

  # A cache of two lines: a folder, and Python's web server.
  cache = test "cache" {
    web.imports = [
      reached
      loaders.systemd-boot
      (host (named {
        next = { };
      }))
    ];
    deployer = {
      imports = [ (deployer { settings.connect.user = "root"; }) ];
      networking.firewall.allowedTCPPorts = [ 8080 ];
      systemd.tmpfiles.rules = [ "d /srv/cache 0755 root root - -" ];
      systemd.services.cache = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "${lib.getExe python3} -m http.server --directory /srv/cache 8080";
      };
    };
  };

  agenix = test "agenix" {
    web.imports = [
      reached
      loaders.systemd-boot
      inputs.agenix.nixosModules.default
      (host (named {
        next.age = {
          ageBin = "${age}/bin/age";
          secrets.token.file = ./fleet/secrets/token.age;
        };
      }))
    ];
    deployer = deployer {
      settings.connect.user = "root";
      more = ''
        mkdir $out/secrets
        cp ${./fleet/secrets}/* $out/secrets/
        cp ${./fleet/age.nix} $out/age.nix
        printf %s ${age}/bin/age > $out/age-program
      '';
    };
  };

  # The secrets, and the key to them, of sops-nix's own tests.
  assets = "${inputs.sops-nix}/pkgs/sops-install-secrets/test-assets";
  sops = test "sops" {
    web.imports = [
      reached
      loaders.systemd-boot
      inputs.sops-nix.nixosModules.sops
      (host (named {
        next.sops = {
          defaultSopsFile = "${assets}/secrets.yaml";
          age.keyFile = "/var/lib/sops/keys.txt";
          secrets.test_key = { };
        };
      }))
    ];
    deployer = deployer {
      settings.connect.user = "root";
      more = "cp ${assets}/age-keys.txt $out/sops-keys.txt";
    };
  };
in
lib.mapAttrs' (name: value: {
  name = "vm-${name}";
  inherit value;
}) (
  lib.mapAttrs loader loaders
  // {
    inherit agenix cache container;
  }
  // lib.optionalAttrs (inputs.sops-nix.nixosModules or { } ? sops) { inherit sops; }
)
