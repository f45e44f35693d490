# Declarations of options, and places in words.
let
  self = {
    mkOption = attributes: attributes // { _type = "option"; };
    isOption = value: builtins.isAttrs value && value._type or null == "option";
    mkEnableOption =
      name:
      self.mkOption {
        default = false;
        example = true;
        description = "Whether to enable ${name}.";
        typeName = "bool";
      };
    mkPackageOption =
      packages: name: _:
      self.mkOption {
        default = packages.${name};
        description = "The ${name} package to use.";
        typeName = "package";
      };
    mdDoc = text: text;
    literalExpression = text: text;
    literalMD = text: text;
    showOption = builtins.concatStringsSep ".";
    showFiles = files: builtins.concatStringsSep " and " (map (file: "`${file}'") files);

    # A value as an error shows it: short, and never a whole package.
    showValue =
      value:
      if builtins.isAttrs value then
        if value.type or null == "derivation" then "<derivation ${value.name}>" else "{ ${builtins.concatStringsSep "; " (builtins.attrNames value)} }"
      else if builtins.isFunction value then
        "<function>"
      else if builtins.isList value then
        "[ ${builtins.concatStringsSep " " (map self.showValue value)} ]"
      else if builtins.isPath value then
        builtins.toString value
      else
        builtins.toJSON value;
    showDefinitions =
      builtins.foldl' (text: definition: "${text}\n- In `${definition.file}': ${self.showValue definition.value}") "";
  };
in
self
