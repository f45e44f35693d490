# Attribute sets, as nixpkgs' lib/attrsets.nix.
let
  self = {
    nameValuePair = name: value: { inherit name value; };
    genAttrs = names: f: builtins.listToAttrs (map (name: self.nameValuePair name (f name)) names);
    mapAttrs' = f: set: builtins.listToAttrs (self.mapAttrsToList f set);
    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
    attrsToList = self.mapAttrsToList self.nameValuePair;
    concatMapAttrs = f: set: self.mergeAttrsList (self.mapAttrsToList f set);
    mergeAttrsList = builtins.foldl' (a: b: a // b) { };
    filterAttrs =
      predicate: set:
      removeAttrs set (builtins.filter (name: !predicate name set.${name}) (builtins.attrNames set));
    optionalAttrs = condition: set: if condition then set else { };
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if builtins.isAttrs set && set ? ${builtins.head path} then
        self.attrByPath (builtins.tail path) default set.${builtins.head path}
      else
        default;
    hasAttrByPath =
      path: set:
      path == [ ]
      || (
        builtins.isAttrs set
        && set ? ${builtins.head path}
        && self.hasAttrByPath (builtins.tail path) set.${builtins.head path}
      );
    setAttrByPath =
      path: value:
      if path == [ ] then
        value
      else
        { ${builtins.head path} = self.setAttrByPath (builtins.tail path) value; };
    getAttrFromPath =
      path: self.attrByPath path (throw "no attribute ${builtins.concatStringsSep "." path}");
    recursiveUpdate =
      a: b:
      a
      // builtins.mapAttrs (
        name: value:
        if a ? ${name} && builtins.isAttrs a.${name} && builtins.isAttrs value then
          self.recursiveUpdate a.${name} value
        else
          value
      ) b;
    foldAttrs =
      f: start: sets:
      builtins.mapAttrs (
        _: values: builtins.foldl' (rest: value: f value rest) start values
      ) (builtins.zipAttrsWith (_: values: values) sets);
    zipAttrsWith = builtins.zipAttrsWith;
    isDerivation = value: value.type or null == "derivation";
    getAttrs = names: self.genAttrs' names;
    genAttrs' = names: set: self.genAttrs names (name: set.${name});
    # https://nixos.org/manual/nixpkgs/stable/#chap-multiple-output
    getBin = package: package.bin or package;
    getExe =
      package: "${self.getBin package}/bin/${package.meta.mainProgram or package.pname or package.name}";
    getExe' = package: program: "${self.getBin package}/bin/${program}";
    makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
  };
in
self
