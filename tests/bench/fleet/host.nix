# One host: evaluated as the real NixOS that it is, built as a system that lab hosts can run.
#
# The system that is built carries the derivation's path of the real one as text. So each tool pays
# for the whole evaluation, any change of it is a change of the host, and nothing real is built.
{
  nixpkgs,
  real,
  system,
}:
name:
let
  whole = real.lib.nixosSystem {
    inherit system;
    modules = [
      ./base.nix
      ./hosts/${name}
      {
        networking.hostName = name;
        deployment.targetHost = name;
      }
    ];
  };
  carrier = nixpkgs.lib.nixosSystem {
    inherit system;
    modules = [
      {
        networking.hostName = name;
        environment.etc."bench/system".text =
          builtins.unsafeDiscardStringContext whole.config.system.build.toplevel.drvPath;
        # Old generations cost each activation the same, however many benchmarks have left.
        boot.loader.systemd-boot.configurationLimit = 3;
        # Who activates, whatever the tool, is counted on the host.
        system.activationScripts.bench = "echo activated >> /var/log/bench-activations";
      }
    ];
  };
in
whole
// {
  config = whole.config // {
    system = whole.config.system // {
      build = whole.config.system.build // {
        inherit (carrier.config.system.build) toplevel;
      };
    };
  };
}
