# testers.runNixOSTest: a test of NixOS is evaluated as far as its machines are, and never run. Its
# options are some of nixpkgs' (nixos/lib/testing in 26.11); any other is an error.
# `meta` is not looked at, as in every module here.
{
  lib,
  packages,
  run,
  nixosSystem,
}:
let
  inherit (lib) mkOption types;
  option = type: default: description: mkOption { inherit type default description; };
  flag = option types.bool;

  # What a machine of a test has beside NixOS's own options: of nixos/modules/virtualisation/qemu-vm.nix
  # those below. A misspelt one is an error here, where others below `virtualisation` are carried.
  machine = {
    options.virtualisation = option (types.submodule {
      options = {
        additionalPaths = option (types.listOf types.path) [ ] "Paths that the machine's store has.";
        cores = option types.ints.positive 1 "Processors.";
        diskSize = option types.ints.positive 1024 "The disk's size, in MiB.";
        graphics = flag true "Whether there is a window.";
        memorySize = option types.ints.positive 1024 "Memory, in MiB.";
        mountHostNixStore = flag true "Whether the builder's store is the machine's, read-only.";
        useBootLoader = flag false "Whether the machine boots by a boot loader on its disk.";
        useEFIBoot = flag false "Whether that is EFI's.";
        useNixStoreImage = flag false "Whether the store is an image of its own.";
        vlans = option (types.listOf types.ints.unsigned) [ 1 ] "Networks that the machine is in.";
        writableStore = flag true "Whether something can be added to the store.";
        writableStoreUseTmpfs = flag true "Whether that is gone after a boot.";
      };
    }) { } "The virtual machine.";
  };

  given = {
    options = {
      name = mkOption {
        type = types.str;
        description = "The test's name.";
      };
      nodes = option (types.lazyAttrsOf types.raw) { } "A module for each machine.";
      defaults = option types.raw { } "A module of every machine.";
      testScript = mkOption {
        type = types.either types.str (types.functionTo types.str);
        description = "What is done, in Python; or a function of `nodes` that gives it.";
      };
      node.specialArgs = option (types.lazyAttrsOf types.raw) { } "More arguments of every module.";
      enableOCR = flag false "Whether screens are read.";
      extraDriverArgs = option (types.listOf types.str) [ ] "More arguments of the driver's.";
      extraPythonPackages = option types.raw (_: [ ]) "What the script can import.";
      globalTimeout = option types.int 3600 "Seconds for all of it.";
      interactive = option types.raw { } "What is different where a person runs it.";
      passthru = option (types.lazyAttrsOf types.raw) { } "What the derivation is given beside.";
      qemu.package = option types.raw null "Which QEMU.";
      skipLint = flag false "Whether the script is not linted.";
      skipTypeCheck = flag false "Whether its types are not checked.";
    };
  };

  runNixOSTest =
    module:
    let
      inherit (lib.evalModules { modules = [ given module ]; }) config;

      evaluated = builtins.mapAttrs (
        name: node:
        let
          system = nixosSystem {
            inherit (packages) system;
            modules = [
              machine
              { networking.hostName = lib.mkDefault name; }
              config.defaults
              node
            ];
            specialArgs = {
              inherit name nodes;
              inherit (system) extendModules;
            }
            // config.node.specialArgs;
          };
        in
        system
      ) config.nodes;
      nodes = builtins.mapAttrs (_: one: one.config) evaluated;

      script = config.testScript;
      testScriptString = if builtins.isFunction script then script { inherit nodes; } else script;
    in
    run "vm-test-run-${config.name}" {
      inherit testScriptString;
      machines = map (node: node.system.build.toplevel) (builtins.attrValues nodes);
      # What nothing here acts upon has to be right all the same.
      virtualisation = builtins.toJSON (map (node: node.virtualisation) (builtins.attrValues nodes));
      given = builtins.toJSON {
        inherit (config)
          enableOCR
          extraDriverArgs
          globalTimeout
          skipLint
          skipTypeCheck
          ;
      };
    } "echo 'there are no virtual machines here: ${config.name} is evaluated, and not run'; exit 1"
    // config.passthru
    // {
      inherit nodes;
      config = config // {
        inherit testScriptString;
      };
    };
in
{
  inherit runNixOSTest;
}
