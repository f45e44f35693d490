# The functions of nixpkgs' `lib` that modules commonly use, with its names and semantics.
let
  lists = import ./lists.nix;
  attrsets = import ./attrsets.nix;
  strings = import ./strings.nix;
  options = import ./options.nix;
  properties = import ./properties.nix;
  types = import ./types.nix { inherit lib; };
  modules = import ./modules.nix { inherit lib; };

  lib =
    {
      inherit (builtins)
        add
        all
        any
        attrNames
        attrValues
        bitAnd
        catAttrs
        compareVersions
        concatLists
        concatMap
        concatStringsSep
        deepSeq
        elem
        elemAt
        filter
        foldl'
        fromJSON
        functionArgs
        genList
        getAttr
        groupBy
        hasAttr
        head
        intersectAttrs
        isAttrs
        isBool
        isFloat
        isFunction
        isInt
        isList
        isPath
        isString
        length
        listToAttrs
        mapAttrs
        match
        readFile
        removeAttrs
        replaceStrings
        seq
        sort
        split
        stringLength
        substring
        tail
        throw
        toJSON
        toString
        trace
        tryEval
        ;
      inherit lists attrsets strings types;
      id = value: value;
      const = value: _: value;
      flip = f: a: b: f b a;
      pipe = builtins.foldl' (value: f: f value);
      trivial.importJSON = lib.importJSON;
      importJSON = path: builtins.fromJSON (builtins.readFile path);
      version = "25.05.standin";
      maintainers = { };
      licenses.mit = {
        spdxId = "MIT";
        free = true;
      };
      sourceTypes.binaryNativeCode.shortName = "binaryNativeCode";
      importTOML = path: builtins.fromTOML (builtins.readFile path);
      fileset = import ./fileset.nix { inherit lib; };
      modules = modules // {
        # A module of a file that takes something first, such as a flake; errors name the file.
        importApply = file: given: {
          _file = file;
          imports = [ (import file given) ];
        };
      };
      platforms.linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    }
    // lists
    // attrsets
    // strings
    // options
    // properties
    // modules;
in
lib
