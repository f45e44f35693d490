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

    # A name that has to be quoted in Nix is quoted, so that a place in an error can be typed.
    showOption =
      parts:
      let
        show =
          part:
          if builtins.match "[a-zA-Z_][a-zA-Z0-9_'-]*|<.*>|[*]" part == null then
            builtins.toJSON part
          else
            part;
      in
      builtins.concatStringsSep "." (map show parts);
    showFiles = files: builtins.concatStringsSep " and " (map (file: "`${file}'") files);

    # A value as an error shows it: short, and never a whole package.
    showValue =
      value:
      if builtins.isAttrs value then
        if value.type or null == "derivation" then
          "<derivation ${value.name}>"
        else
          "{ ${builtins.concatStringsSep "; " (builtins.attrNames value)} }"
      else if builtins.isFunction value then
        "<function>"
      else if builtins.isList value then
        "[ ${builtins.concatStringsSep " " (map self.showValue value)} ]"
      else if builtins.isPath value then
        builtins.toString value
      else
        builtins.toJSON value;
    showDefinitions = builtins.foldl' (
      text: one: "${text}\n- In `${one.file}': ${self.showValue one.value}"
    ) "";
  };
in
self
