# Packages: the builders that modules use, one real program, and stand-ins that say what they are.
{ lib, system }:

let
  # An applet's name is the program's: the file must be called busybox. The lab puts it there.
  busyboxFile = "${../bin}/busybox";

  # One build is one script of busybox's shell; every applet is on its path.
  applets = derivation {
    name = "busybox-1.37";
    inherit system;
    builder = busyboxFile;
    args = [
      "sh"
      "-euc"
      "${busyboxFile} mkdir -p $out/bin; ${busyboxFile} cp ${busyboxFile} $out/bin/busybox; $out/bin/busybox --install -s $out/bin"
    ];
  };

  run =
    name: environment: script:
    derivation (
      {
        inherit name system;
        builder = "${applets}/bin/busybox";
        args = [
          "sh"
          "-euc"
          "PATH=${applets}/bin; export PATH\n${script}"
        ];
      }
      // environment
    )
    // {
      meta = { };
    };

  standIn =
    name:
    let
      version = "0-stand-in";
    in
    run "${name}-${version}" { } ''
      mkdir -p $out/bin $out/share
      printf '#!/bin/sh\necho "${name} ${version}: only its name is here"\n' > $out/bin/${name}
      chmod +x $out/bin/${name}
    ''
    // {
      pname = name;
      inherit version;
      meta.mainProgram = name;
    };

  linuxPackages = version: {
    kernel =
      run "linux-${version}" { } ''
        mkdir -p $out/lib/modules/${version}
        echo "linux ${version}: only its name is here" > $out/bzImage
      ''
      // {
        inherit version;
      };
  };

  packaging = import ./packaging.nix { inherit lib packages run; };

  packages = lib.genAttrs (import ./names.nix) standIn // packaging // {
    inherit lib system;
    stdenv = {
      hostPlatform = { inherit system; };
      buildPlatform = {
        inherit system;
        canExecute = other: other.system == system;
      };
      cc.cc.lib = standIn "gcc-libs";
    };

    busybox = applets // {
      pname = "busybox";
      meta.mainProgram = "busybox";
    };

    # A program of the hosts' Debian, with its libraries: it runs there, and in no build.
    age =
      run "age" { } "mkdir -p $out/bin; cp ${../bin}/age $out/bin/age"
      // {
        pname = "age";
        meta.mainProgram = "age";
      };

    # The hosts' Debian's, by the names that NixOS has in a system's path.
    nix =
      run "nix" { } ''
        mkdir -p $out/bin
        for program in nix nix-env nix-store; do
          printf '#!/bin/sh\nexec /usr/bin/%s "$@"\n' $program > $out/bin/$program
          chmod +x $out/bin/$program
        done
      ''
      // {
        pname = "nix";
        meta.mainProgram = "nix";
      };

    testers = import ./testers.nix {
      inherit lib packages run;
      nixosSystem = import ../nixos {
        inherit lib;
        packagesFor = _: packages;
      };
    };

    linuxPackages = linuxPackages "6.12";
    linuxPackages_6_6 = linuxPackages "6.6";
    linuxPackages_latest = linuxPackages "6.15";

    runCommand = run;
    runCommandLocal = run;

    # Of a closure only the paths' names, by what Nix itself lays beside the build.
    closureInfo =
      { rootPaths }:
      run "closure-info" {
        exportReferencesGraph = builtins.concatLists (
          lib.imap1 (number: path: [
            "closure-${toString number}"
            path
          ]) rootPaths
        );
      } "mkdir $out; for graph in closure-*; do grep -h ^/nix/store/ \"$graph\"; done | sort -u > $out/store-paths";

    writeTextFile =
      {
        name,
        text,
        executable ? false,
        destination ? "",
      }:
      run name { inherit text; } ''
        target=$out${destination}
        mkdir -p "$(dirname "$target")"
        printf '%s' "$text" > "$target"
        ${lib.optionalString executable ''chmod +x "$target"''}
      '';
    writeText = name: text: packages.writeTextFile { inherit name text; };
    writeTextDir =
      path: text:
      packages.writeTextFile {
        name = baseNameOf path;
        inherit text;
        destination = "/${path}";
      };
    writeScript =
      name: text:
      packages.writeTextFile {
        inherit name text;
        executable = true;
      };
    writeShellScript = name: text: packages.writeScript name "#!/bin/sh\n${text}";
    writeShellScriptBin =
      name: text:
      packages.writeTextFile {
        inherit name;
        text = "#!/bin/sh\n${text}";
        executable = true;
        destination = "/bin/${name}";
      }
      // {
        meta.mainProgram = name;
      };
    writeShellApplication =
      { name, text, ... }: packages.writeShellScriptBin name "set -eu\n${text}";

    symlinkJoin =
      { name, paths, ... }:
      run name { paths = map toString paths; } ''
        mkdir -p $out
        for path in $paths; do cp -rs "$path/." $out/ 2>/dev/null || true; done
      '';
    buildEnv = packages.symlinkJoin;
  };
in
packages
