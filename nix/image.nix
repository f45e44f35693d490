# An image for CI: the tool, and what it runs. `docker load < $(nix build --print-out-paths .#image)`
{
  dockerTools,
  writeTextDir,
  orchestrator,
  age,
  bashInteractive,
  cacert,
  coreutils,
  git,
  gnugrep,
  nix,
  openssh,
}:
dockerTools.buildLayeredImage {
  name = "orchestrator";
  tag = orchestrator.version;
  # The store's database comes along, so that Nix knows what is there.
  includeNixDB = true;
  contents = [
    orchestrator
    age
    bashInteractive
    coreutils
    git
    gnugrep
    nix
    openssh
    dockerTools.caCertificates
    dockerTools.usrBinEnv
    # OpenSSH looks for ~/.ssh here, whatever HOME is.
    (writeTextDir "etc/passwd" "root:x:0:0::/root:/bin/bash\n")
    (writeTextDir "etc/group" "root:x:0:\n")
    (writeTextDir "etc/nsswitch.conf" "hosts: files dns\n")
    # In a container root builds by itself, and there are no users to build as.
    (writeTextDir "etc/nix/nix.conf" ''
      experimental-features = nix-command flakes
      build-users-group =
    '')
  ];
  extraCommands = "mkdir -m 1777 tmp; mkdir -m 0700 root";
  config = {
    Cmd = [ "/bin/bash" ];
    WorkingDir = "/root";
    Env = [
      "HOME=/root"
      "USER=root"
      "PATH=/bin"
      "NIX_SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
    ];
    Labels."org.opencontainers.image.version" = orchestrator.version;
  };
}
