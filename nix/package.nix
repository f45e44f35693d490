# The tool as a package. What it is called, needs and says of itself is in pyproject.toml.
{
  lib,
  callPackage,
  stdenv,
  installShellFiles,
  python3,
  age,
  git,
  nix,
  openssh,
}:
let
  inherit (lib.importTOML ../pyproject.toml) project;

  python = python3.override { packageOverrides = callPackage ./python.nix { }; };

  # "pytest-cov[toml]>=6" → pytest-cov: nixpkgs names packages as PyPI does, in lower case.
  nameOf =
    requirement: lib.toLower (builtins.head (builtins.match "([A-Za-z0-9_.-]+).*" requirement));
  packagesOf = requirements: map (one: python.pkgs.${nameOf one}) requirements;
in
python.pkgs.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  # No more than the package is made of: documentation and the fleet rebuild nothing.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../pyproject.toml
      ../README.md
      ../LICENSE
      ../orchestrator
    ];
  };

  build-system = [ python.pkgs.setuptools ];
  dependencies = packagesOf project.dependencies;
  nativeBuildInputs = [ installShellFiles ];

  # What it runs, where a person's own PATH has none.
  makeWrapperArgs = [
    "--suffix"
    "PATH"
    ":"
    (lib.makeBinPath [
      age
      git
      nix
      openssh
    ])
  ];

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    installShellCompletion --cmd ${project.name} \
      --bash <(HOME=$TMPDIR $out/bin/${project.name} completion bash) \
      --zsh <(HOME=$TMPDIR $out/bin/${project.name} completion zsh) \
      --fish <(HOME=$TMPDIR $out/bin/${project.name} completion fish)
  '';

  # Its tests are the flake's checks: they need what the package does not.
  doCheck = false;
  pythonImportsCheck = [ "orchestrator.cli.main" ];

  passthru = {
    inherit project python;
    runtime = packagesOf project.dependencies;
    # For the tests and the shell: what nixpkgs has of the extra `dev`.
    development = packagesOf (
      builtins.filter (one: python.pkgs ? ${nameOf one}) project.optional-dependencies.dev
    );
  };

  meta = {
    inherit (project) description;
    license = lib.licenses.mit;
    mainProgram = project.name;
    platforms = lib.platforms.linux;
  };
}
