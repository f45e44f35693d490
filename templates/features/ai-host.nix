# Runs language models, for who is on the host.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.fleet) hardware settings;
  port = 11434;
  # By whose graphics chip there is.
  packages = {
    amd = pkgs.ollama-rocm;
    nvidia = pkgs.ollama-cuda;
  };
in
{
  services.ollama = {
    enable = true;
    inherit port;
    package = lib.mkDefault (packages.${hardware.gpu or "none"} or pkgs.ollama);
    # Fetched once the service runs, and not by the evaluation.
    loadModels = settings.ai-host.models;
  };

  fleet.ports.ai-host = port;
  environment.etc."fleet/features/ai-host".text = lib.concatLines settings.ai-host.models;
}
