# mkIf, mkMerge, mkDefault and their kin: wrappers around a definition that `modules.nix` unwraps.
let
  self = {
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkOrder = priority: content: {
      _type = "order";
      inherit priority content;
    };

    # The lowest number wins: nixpkgs lib/modules.nix.
    defaultOverridePriority = 100;
    defaultOrderPriority = 1000;
    mkOptionDefault = self.mkOverride 1500;
    mkDefault = self.mkOverride 1000;
    mkImageMediaOverride = self.mkOverride 60;
    mkForce = self.mkOverride 50;
    mkVMOverride = self.mkOverride 10;
    mkBefore = self.mkOrder 500;
    mkAfter = self.mkOrder 1500;
    mkAssert =
      assertion: message: content:
      self.mkIf (if assertion then true else throw "\nFailed assertion: ${message}") content;

    isType = type: value: builtins.isAttrs value && value._type or null == type;
  };
in
self
