# Option types, as nixpkgs' lib/types.nix. A type is a set of
#   name         for errors
#   check        whether one definition's value may be of it
#   merge        location → definitions [ { file, value } ] → value
{ lib }:

let
  inherit (lib) showOption showDefinitions;

  type =
    {
      name,
      check ? _: true,
      merge ? mergeEqual,
      ...
    }@attributes:
    attributes
    // {
      _type = "option-type";
      inherit name check merge;
    };

  conflict =
    location: definitions:
    throw "The option `${showOption location}' has conflicting definition values:${showDefinitions definitions}\nUse `lib.mkForce value' or `lib.mkDefault value' to change the priority on any of these definitions.";

  mergeEqual =
    location: definitions:
    let
      first = (builtins.head definitions).value;
    in
    if builtins.all (definition: definition.value == first) definitions then
      first
    else
      conflict location definitions;

  mergeOne =
    location: definitions:
    if builtins.length definitions == 1 then
      (builtins.head definitions).value
    else
      throw "The option `${showOption location}' is defined multiple times while it's expected to be unique.${showDefinitions definitions}";

  mergeElements =
    inner: location: definitions:
    let
      elements = builtins.concatLists (
        lib.imap1 (
          n: definition:
          lib.imap1 (m: value: {
            location = location ++ [ "[definition ${toString n}-entry ${toString m}]" ];
            definitions = [
              {
                inherit (definition) file;
                inherit value;
              }
            ];
          }) definition.value
        ) definitions
      );
      merged = map (element: lib.mergeDefinitions element.location inner element.definitions) elements;
    in
    map (element: element.value) (builtins.filter (element: element.isDefined) merged);

  mergeAttributes =
    { inner, lazy }:
    location: definitions:
    let
      byName = builtins.zipAttrsWith (_: found: found) (
        map (
          definition:
          builtins.mapAttrs (_: value: {
            inherit (definition) file;
            inherit value;
          }) definition.value
        ) definitions
      );
      merged = builtins.mapAttrs (
        name: found: lib.mergeDefinitions (location ++ [ name ]) inner found
      ) byName;
      defined = if lazy then merged else lib.filterAttrs (_: one: one.isDefined) merged;
    in
    builtins.mapAttrs (_: one: one.value) defined;

  separated =
    separator:
    type {
      name = "strings concatenated with ${builtins.toJSON separator}";
      check = builtins.isString;
      merge = _: definitions: builtins.concatStringsSep separator (map (one: one.value) definitions);
    };

  between =
    lowest: highest:
    type {
      name = "integer between ${toString lowest} and ${toString highest} (both inclusive)";
      check = value: builtins.isInt value && value >= lowest && value <= highest;
    };

  isStringLike = value: builtins.isString value || lib.isDerivation value || builtins.isPath value;

  # Lists are joined, sets merged, all else must be equal: what a carried option does, too.
  mergeAnything =
    inner: location: definitions:
    let
      values = map (one: one.value) definitions;
      all = predicate: builtins.all predicate values;
    in
    if all (value: builtins.isAttrs value && !lib.isDerivation value) then
      mergeAttributes {
        inherit inner;
        lazy = true;
      } location definitions
    else if all builtins.isList then
      mergeElements inner location definitions
    else if all builtins.isFunction && builtins.length values > 1 then
      conflict location definitions
    else if builtins.length values == 1 then
      builtins.head values
    else
      mergeEqual location definitions;

  types = {
    inherit separated;
    separatedString = separated;
    lines = separated "\n" // {
      name = "strings concatenated with \"\\n\"";
    };
    commas = separated ",";
    envVar = separated ":";
    raw = type {
      name = "raw value";
      merge = mergeOne;
    };
    unspecified = type {
      name = "unspecified value";
      merge = mergeAnything types.anything;
    };
    anything = type {
      name = "anything";
      merge = mergeAnything types.anything;
    };
    # Not of nixpkgs: an option that nobody declares. Where it is not set, it is null.
    carried = types.anything // {
      merge = mergeAnything types.carried;
      emptyValue.value = null;
    };
    bool = type {
      name = "boolean";
      check = builtins.isBool;
    };
    str = type {
      name = "string";
      check = builtins.isString;
    };
    singleLineStr = types.strMatching "[^\n\r]*\n?" // {
      name = "(optionally newline-terminated) single-line string";
      merge = location: definitions: lib.removeSuffix "\n" (mergeEqual location definitions);
    };
    nonEmptyStr = type {
      name = "non-empty string";
      check = value: builtins.isString value && builtins.match "[ \t\n]*" value == null;
    };
    strMatching =
      pattern:
      type {
        name = "string matching the pattern ${pattern}";
        check = value: builtins.isString value && builtins.match pattern value != null;
      };
    int = type {
      name = "signed integer";
      check = builtins.isInt;
    };
    float = type {
      name = "floating point number";
      check = builtins.isFloat;
    };
    number = types.either types.int types.float;
    ints = {
      inherit between;
      unsigned = type {
        name = "unsigned integer, meaning >=0";
        check = value: builtins.isInt value && value >= 0;
      };
      positive = type {
        name = "positive integer, meaning >0";
        check = value: builtins.isInt value && value > 0;
      };
      u8 = between 0 255;
      u16 = between 0 65535;
    };
    port = types.ints.u16 // {
      name = "16 bit unsigned integer; between 0 and 65535 (both inclusive)";
    };
    path = type {
      name = "absolute path";
      check = value: isStringLike value && lib.hasPrefix "/" (toString value);
    };
    pathInStore = types.path;
    package = type {
      name = "package";
      check = lib.isDerivation;
      merge = mergeOne;
    };
    shellPackage = types.package;
    attrs = type {
      name = "attribute set";
      check = builtins.isAttrs;
      merge = _: definitions: lib.mergeAttrsList (map (one: one.value) definitions);
    };
    enum =
      values:
      type {
        name = "one of ${builtins.concatStringsSep ", " (map lib.showValue values)}";
        check = value: builtins.elem value values;
      };
    nullOr =
      inner:
      type {
        name = "null or ${inner.name}";
        nestedTypes.elemType = inner;
        check = value: value == null || inner.check value;
        merge =
          location: definitions:
          if builtins.all (one: one.value == null) definitions then
            null
          else if builtins.any (one: one.value == null) definitions then
            throw "The option `${showOption location}` is defined both null and not null, in ${
              lib.showFiles (map (one: one.file) definitions)
            }."
          else
            inner.merge location definitions;
      };
    listOf =
      inner:
      type {
        name = "list of ${inner.name}";
        check = builtins.isList;
        merge = mergeElements inner;
        emptyValue.value = [ ];
      };
    nonEmptyListOf =
      inner:
      removeAttrs (types.listOf inner) [ "emptyValue" ]
      // {
        name = "non-empty list of ${inner.name}";
        check = value: builtins.isList value && value != [ ];
      };
    attrsOf =
      inner:
      type {
        name = "attribute set of ${inner.name}";
        nestedTypes.elemType = inner;
        check = builtins.isAttrs;
        merge = mergeAttributes {
          inherit inner;
          lazy = false;
        };
        emptyValue.value = { };
      };
    lazyAttrsOf =
      inner:
      types.attrsOf inner
      // {
        merge = mergeAttributes {
          inherit inner;
          lazy = true;
        };
      };
    uniq = inner: inner // { merge = mergeOne; };
    either =
      first: second:
      type {
        name = "${first.name} or ${second.name}";
        check = value: first.check value || second.check value;
        merge =
          location: definitions:
          let
            every = one: builtins.all (definition: one.check definition.value) definitions;
          in
          if every first then
            first.merge location definitions
          else if every second then
            second.merge location definitions
          else
            conflict location definitions;
      };
    oneOf =
      choices: builtins.foldl' types.either (builtins.head choices) (builtins.tail choices);
    coercedTo =
      from: coerce: to:
      type {
        name = "${to.name} or ${from.name} convertible to it";
        check = value: (from.check value && to.check (coerce value)) || to.check value;
        merge =
          location: definitions:
          to.merge location (
            map (
              one: one // { value = if from.check one.value then coerce one.value else one.value; }
            ) definitions
          );
      };
    functionTo =
      inner:
      type {
        name = "function that evaluates to ${inner.name}";
        check = builtins.isFunction;
        merge =
          location: definitions: argument:
          inner.merge location (map (one: one // { value = one.value argument; }) definitions);
      };
    submodule =
      modules:
      types.submoduleWith {
        modules = lib.toList modules;
        shorthandOnlyDefinesConfig = true;
      };
    submoduleWith =
      {
        modules,
        specialArgs ? { },
        shorthandOnlyDefinesConfig ? false,
        # Not of nixpkgs: as `evalModules` has it.
        carried ? [ ],
        ...
      }:
      let
        # One step further down than the definitions, as nixpkgs has them: their order follows.
        declaring = location: one: {
          _file = "<the options of ${showOption location}>";
          imports = [ one ];
        };
        defining =
          one:
          if builtins.isAttrs one.value && shorthandOnlyDefinesConfig then
            {
              _file = one.file;
              config = one.value;
            }
          else
            {
              _file = one.file;
              imports = [ one.value ];
            };
      in
      type {
        name = "submodule";
        check = value: builtins.isAttrs value || builtins.isFunction value || builtins.isPath value;
        mergesNothing = true;
        getSubModules = modules;
        getSubOptions =
          location:
          (lib.evalModules {
            inherit carried;
            prefix = location;
            specialArgs = {
              name = lib.last location;
            }
            // specialArgs;
            modules = map (declaring location) modules;
          }).options;
        functor.payload = { inherit modules specialArgs; };
        merge =
          location: definitions:
          (lib.evalModules {
            inherit carried;
            prefix = location;
            specialArgs = {
              name = lib.last location;
            }
            // specialArgs;
            modules = map (declaring location) modules ++ map defining definitions;
          }).config;
      };
  };
in
types
