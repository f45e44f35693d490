# The module system: modules go in, one configuration comes out. Semantics of nixpkgs'
# lib/modules.nix, as far as the templates use them.
#
# What no module declares is an error, but for the names in `carried`: below those, any option is
# accepted, merged like `types.anything`, and carried along in the configuration.
{ lib }:

let
  inherit (lib) showOption showDefinitions isType isOption;

  # What a module may have beside its definitions.
  meta = [
    "_class"
    "_file"
    "config"
    "disabledModules"
    "freeformType"
    "imports"
    "key"
    "meta"
    "options"
  ];

  # A module as written → { key, file, imports, disabled, options, config }.
  load =
    arguments: parent: index: written:
    let
      isFile = builtins.isPath written || builtins.isString written;
      value = if isFile then import written else written;
      called = if builtins.isFunction value then value (argumentsOf arguments value) else value;
      generated = if parent.key == "root" then "<module ${toString index}>" else parent.file;
      file = if isFile then toString written else called._file or generated;
      key = called.key or (if isFile then file else "${parent.key}/${toString index}");
      structured = called ? config || called ? options;
      stray = removeAttrs called meta;
      freeform = lib.optionalAttrs (called ? freeformType) {
        _module.freeformType = called.freeformType;
      };
      plain = {
        key = "${parent.key}/${toString index}";
        ancestors = parent.ancestors ++ [ key ];
        inherit file;
        imports = [ ];
        disabled = [ ];
        options = { };
        config = called;
      };
    in
    if !builtins.isAttrs called then
      throw "The module `${file}' is ${lib.showValue called}, not an attribute set or a function"
    else if called ? _type then
      plain
    else if structured && stray != { } then
      throw "Module `${file}' has an unsupported attribute `${builtins.head (builtins.attrNames stray)}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them into the explicit `config' attribute."
    else if builtins.elem key parent.ancestors then
      throw "The module `${file}' imports itself, by way of `${parent.file}'"
    else
      plain
      // {
        inherit key;
        imports = called.imports or [ ];
        disabled = called.disabledModules or [ ];
        options = called.options or { };
        config = lib.mkMerge [
          freeform
          (if structured then called.config or { } else stray)
        ];
      };

  # A function gets all that every module gets, and of `_module.args` what it names.
  argumentsOf =
    { all, more }:
    function:
    let
      named = removeAttrs (builtins.functionArgs function) (builtins.attrNames all);
      find =
        name: _:
        more.${name} or (throw "A module asks for the argument `${name}', which nothing provides");
    in
    all // builtins.mapAttrs find named;

  # All modules that a list of them imports, each once, in order.
  collect =
    arguments: root: modules:
    let
      node =
        parent: index: written:
        let
          module = load arguments parent index written;
        in
        {
          inherit (module) key;
          inherit module;
          children = lib.imap1 (node module) module.imports;
        };
      closure =
        keep:
        map (found: found.module) (
          builtins.genericClosure {
            startSet = builtins.filter keep (lib.imap1 (node root) modules);
            operator = found: builtins.filter keep found.children;
          }
        );
      everything = closure (_: true);
      disabled = map (one: if builtins.isAttrs one then one.key else toString one) (
        builtins.concatMap (module: module.disabled) everything
      );
    in
    if disabled == [ ] then
      everything
    else
      closure (found: !builtins.elem found.key disabled);

  # Move properties inwards: mkIf c { a = 1; } → [ { a = mkIf c 1; } ]. No condition is looked at.
  pushDown =
    config:
    let
      below = f: value: if builtins.isAttrs value then builtins.mapAttrs (_: f) value else value;
    in
    if isType "merge" config then
      builtins.concatMap pushDown config.contents
    else if isType "if" config then
      map (below (lib.mkIf config.condition)) (pushDown config.content)
    else if isType "override" config then
      map (below (lib.mkOverride config.priority)) (pushDown config.content)
    else
      [ config ];

  # Resolve properties of one definition: the values that count, with their conditions looked at.
  discharge =
    value:
    if isType "merge" value then
      builtins.concatMap discharge value.contents
    else if isType "if" value then
      if !builtins.isBool value.condition then
        throw "mkIf called with a condition that is no boolean: ${lib.showValue value.condition}"
      else if value.condition then
        discharge value.content
      else
        [ ]
    else
      [ value ];

  priorityOf =
    one: if isType "override" one.value then one.value.priority else lib.defaultOverridePriority;
  orderOf = one: if isType "order" one.value then one.value.priority else lib.defaultOrderPriority;
  strip =
    kind: one: if isType kind one.value then one // { value = one.value.content; } else one;

  # Definitions → those of the highest priority, in their order, without properties. As in nixpkgs,
  # an override around a condition is not looked into: it is the condition that goes around.
  resolve =
    definitions:
    let
      each =
        one:
        map (value: {
          inherit (one) file;
          inherit value;
        }) (discharge one.value);
      all = builtins.concatMap each definitions;
      lowest = least: one: if priorityOf one < least then priorityOf one else least;
      highestPrio = builtins.foldl' lowest 9999 all;
      best = map (strip "override") (builtins.filter (one: priorityOf one == highestPrio) all);
      ordered =
        if builtins.any (one: isType "order" one.value) best then
          builtins.sort (a: b: orderOf a < orderOf b) best
        else
          best;
    in
    {
      inherit highestPrio;
      values = map (strip "order") ordered;
    };

  self = {
    # Definitions of one thing → { isDefined, value, … }.
    mergeDefinitions =
      location: type: definitions:
      let
        resolved = resolve definitions;
        wrong = builtins.filter (one: !type.check one.value) resolved.values;
        isDefined = resolved.values != [ ];
      in
      {
        inherit isDefined;
        inherit (resolved) highestPrio;
        files = map (one: one.file) resolved.values;
        definitionsWithLocations = resolved.values;
        value =
          if !isDefined && type.mergesNothing or false then
            type.merge location [ ]
          else if !isDefined then
            type.emptyValue.value or (throw "The option `${showOption location}' was accessed but has no value defined. Try setting the option.")
          else if wrong != [ ] then
            throw "A definition for option `${showOption location}' is not of type `${type.name}'. Definition values:${showDefinitions wrong}"
          else
            type.merge location resolved.values;
      };

    # Evaluate modules to `config` and `options`.
    #   modules      files, functions or sets
    #   specialArgs  given to every module, and known before any is read
    #   carried      names at the top below which undeclared options are carried
    evalModules =
      {
        modules,
        specialArgs ? { },
        prefix ? [ ],
        carried ? [ ],
      }:
      let
        arguments = {
          all = specialArgs // {
            inherit lib config options;
          };
          more = tree.config._module.args;
        };
        root = {
          key = "root";
          ancestors = [ ];
          file = if prefix == [ ] then "<modules>" else showOption prefix;
        };
        # The last comes first, as in nixpkgs.
        all = lib.reverseList (collect arguments root (modules ++ [ ownOptions ]));
        tree = mergeTree {
          location = prefix;
          inside = false;
          inherit carried;
          declarations = map (module: {
            inherit (module) file;
            value = module.options;
          }) all;
          definitions = map (module: {
            inherit (module) file;
            value = module.config;
          }) all;
        };
        freeform = tree.config._module.freeformType;
        other =
          (self.mergeDefinitions prefix freeform (
            map (one: {
              inherit (one) file;
              value = lib.setAttrByPath (lib.drop (builtins.length prefix) one.location) one.value;
            }) tree.unknown
          )).value;
        known = removeAttrs tree.config [ "_module" ];
        # An unknown name must not wait until somebody asks for it.
        config =
          if tree.unknown == [ ] then
            known
          else if freeform != null then
            lib.recursiveUpdate other known
          else
            doesNotExist tree.unknown;
        inherit (tree) options;
      in
      {
        inherit config options lib;
        inherit (tree.config) _module;
        # As in nixpkgs, whoever looks behind an option finds the modules here.
        type.functor.payload = { inherit modules specialArgs; };
      };
  };

  # What every list of modules has: nixpkgs' `_module`, as far as it is used.
  ownOptions = {
    key = "_module";
    _file = "<the module system>";
    options._module = {
      args = lib.mkOption { type = lib.types.lazyAttrsOf lib.types.raw; };
      freeformType = lib.mkOption {
        type = lib.types.nullOr lib.types.raw;
        default = null;
      };
    };
  };

  # One level of the tree of options.
  mergeTree =
    {
      location,
      inside,
      carried,
      declarations,
      definitions,
    }:
    let
      declared = byName location declarations;
      defined = byName location (
        builtins.concatMap (
          one:
          map (value: {
            inherit (one) file;
            inherit value;
          }) (pushDown one.value)
        ) definitions
      );
      isCarried = name: inside || builtins.elem name carried;
      undeclared = removeAttrs defined (builtins.attrNames declared);
      branches = builtins.mapAttrs (
        name: found:
        let
          here = location ++ [ name ];
        in
        if builtins.any (one: isOption one.value) found then
          leaf here (onlyOne here found) (defined.${name} or [ ])
        else
          mergeTree {
            location = here;
            inside = isCarried name;
            carried = [ ];
            declarations = found;
            definitions = defined.${name} or [ ];
          }
      ) declared;
      carry =
        name: (self.mergeDefinitions (location ++ [ name ]) lib.types.carried undeclared.${name}).value;
      unknownHere = builtins.concatMap (
        name:
        map (one: {
          location = location ++ [ name ];
          siblings = builtins.attrNames (removeAttrs declared [ "_module" ]);
          inherit (one) file value;
        }) undeclared.${name}
      ) (builtins.filter (name: !isCarried name) (builtins.attrNames undeclared));
    in
    {
      config =
        builtins.mapAttrs (_: branch: branch.config) branches
        // lib.genAttrs (builtins.filter isCarried (builtins.attrNames undeclared)) carry;
      options = builtins.mapAttrs (_: branch: branch.options) branches;
      unknown =
        unknownHere ++ builtins.concatMap (branch: branch.unknown) (builtins.attrValues branches);
    };

  doesNotExist =
    unknown:
    let
      first = builtins.head unknown;
      parent = lib.init first.location;
      nearest = lib.take 3 (
        builtins.sort (
          a: b: lib.levenshtein (lib.last first.location) a < lib.levenshtein (lib.last first.location) b
        ) first.siblings
      );
      quoted = map (name: "`${showOption (parent ++ [ name ])}'") nearest;
    in
    throw "The option `${showOption first.location}' does not exist. Definition values:${showDefinitions (builtins.filter (one: one.location == first.location) unknown)}${
      lib.optionalString (quoted != [ ]) "\n\nDid you mean ${builtins.concatStringsSep " or " quoted}?"
    }";

  onlyOne =
    location: found:
    let
      first = builtins.head found;
    in
    if builtins.length found == 1 then
      first.value // { declaredIn = first.file; }
    else
      throw "The option `${showOption location}' in ${
        lib.showFiles (map (one: one.file) (builtins.tail found))
      } is already declared in ${lib.showFiles [ first.file ]}.";

  leaf =
    location: option: defined:
    let
      type = option.type or lib.types.${option.typeName or "unspecified"};
      definitions =
        lib.optional (option ? default) {
          file = option.declaredIn;
          value = lib.mkOptionDefault option.default;
        }
        ++ defined;
      merged =
        if option.readOnly or false && builtins.length definitions > 1 then
          throw "The option `${showOption location}' is read-only, but it's set multiple times. Definition values:${showDefinitions definitions}"
        else
          self.mergeDefinitions location type definitions;
      value = (option.apply or lib.id) merged.value;
    in
    {
      config = value;
      options = option // {
        inherit (merged) isDefined highestPrio files definitionsWithLocations;
        inherit type value;
        declarations = [ option.declaredIn ];
      };
      unknown = [ ];
    };

  # [ { file, value = SET } ] → name → [ { file, value } ]
  byName =
    location: list:
    let
      spread =
        one:
        if builtins.isAttrs one.value then
          builtins.mapAttrs (_: value: {
            inherit (one) file;
            inherit value;
          }) one.value
        else
          throw "`${showOption location}' is a set of options, and cannot be a value itself:${showDefinitions [ one ]}";
    in
    builtins.zipAttrsWith (_: found: found) (map spread list);
in
self
