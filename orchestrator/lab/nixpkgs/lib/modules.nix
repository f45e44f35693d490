# The module system: modules go in, one configuration comes out. Semantics of nixpkgs'
# lib/modules.nix, as far as the templates use them.
#
# What no module declares is an error, but for the names in `carried`: below those, any option is
# accepted, merged like `types.anything`, and carried along in the configuration.
{ lib }:

let
  inherit (lib) showOption showDefinitions isType isOption;

  # A module as written → { key, file, imports, options, config }.
  load =
    arguments: parent: index: written:
    let
      isFile = builtins.isPath written || builtins.isString written;
      value = if isFile then import written else written;
      called = if builtins.isFunction value then value (argumentsOf arguments value) else value;
      file =
        if isFile then toString written else called._file or (if parent.key == "root" then "<module ${toString index}>" else parent.file);
      structured = called ? config || called ? options;
      meta = [ "_file" "_class" "key" "imports" "options" "config" "meta" "disabledModules" ];
      stray = removeAttrs called meta;
    in
    if !builtins.isAttrs called then
      throw "The module `${file}' is ${lib.showValue called}, not an attribute set or a function"
    else if called ? _type then
      {
        key = "${parent.key}/${toString index}";
        inherit file;
        imports = [ ];
        options = { };
        config = called;
      }
    else if structured && stray != { } then
      throw "Module `${file}' has an unsupported attribute `${builtins.head (builtins.attrNames stray)}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them into the explicit `config' attribute."
    else
      {
        key = called.key or (if isFile then file else "${parent.key}/${toString index}");
        inherit file;
        imports = called.imports or [ ];
        options = called.options or { };
        config = if structured then called.config or { } else removeAttrs stray [ ];
      };

  # A function gets what it names; one that names nothing gets everything.
  argumentsOf =
    arguments: function:
    let
      named = builtins.functionArgs function;
    in
    if named == { } then arguments else builtins.intersectAttrs named arguments;

  # All modules that a list of them imports, each once, in order.
  collect =
    arguments: parent: modules:
    let
      node =
        prefix: index: written:
        let
          module = load arguments prefix index written;
        in
        {
          inherit (module) key;
          inherit module;
          children = lib.imap1 (node module) module.imports;
        };
      closure = builtins.genericClosure {
        startSet = lib.imap1 (node parent) modules;
        operator = found: found.children;
      };
    in
    map (found: found.module) closure;

  # Move properties inwards: mkIf c { a = 1; } → [ { a = mkIf c 1; } ]. No condition is looked at.
  pushDown =
    config:
    if isType "merge" config then
      builtins.concatMap pushDown config.contents
    else if isType "if" config then
      map (builtins.mapAttrs (_: lib.mkIf config.condition)) (pushDown config.content)
    else if isType "override" config then
      map (builtins.mapAttrs (_: lib.mkOverride config.priority)) (pushDown config.content)
    else
      [ config ];

  # Resolve properties of one definition: the values that count, with their conditions looked at.
  discharge =
    value:
    if isType "merge" value then
      builtins.concatMap discharge value.contents
    else if isType "if" value then
      if value.condition then discharge value.content else [ ]
    else
      [ value ];

  priorityOf = value: if isType "override" value then value.priority else lib.defaultOverridePriority;
  orderOf = value: if isType "order" value then value.priority else lib.defaultOrderPriority;

  # Definitions → those of the highest priority, in their order, without properties.
  resolve =
    definitions:
    let
      values = builtins.concatMap (
        one: map (value: { inherit (one) file; inherit value; }) (discharge one.value)
      ) definitions;
      best = builtins.foldl' (least: one: if priorityOf one.value < least then priorityOf one.value else least) 9999 values;
      highest = builtins.filter (one: priorityOf one.value == best) values;
      bare = builtins.concatMap (
        one:
        if isType "override" one.value then
          map (value: one // { inherit value; }) (discharge one.value.content)
        else
          [ one ]
      ) highest;
      ordered =
        if builtins.any (one: isType "order" one.value) bare then
          builtins.sort (a: b: orderOf a.value < orderOf b.value) bare
        else
          bare;
    in
    map (one: if isType "order" one.value then one // { value = one.value.content; } else one) ordered;

  self = {
    # Definitions of one thing → { isDefined, value }.
    mergeDefinitions =
      location: type: definitions:
      let
        resolved = resolve definitions;
        wrong = builtins.filter (one: !type.check one.value) resolved;
      in
      {
        isDefined = resolved != [ ];
        value =
          if resolved == [ ] then
            type.emptyValue.value
              or (throw "The option `${showOption location}' was accessed but has no value defined. Try setting the option.")
          else if wrong != [ ] then
            throw "A definition for option `${showOption location}' is not of type `${type.name}'. Definition values:${showDefinitions wrong}"
          else
            type.merge location resolved;
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
        arguments = specialArgs // {
          inherit lib;
          inherit (evaluated) config options;
        };
        root = {
          key = "root";
          file = if prefix == [ ] then "<modules>" else showOption prefix;
        };
        all = collect arguments root modules;
        evaluated = mergeTree {
          location = prefix;
          depth = 0;
          inherit carried;
          declarations = map (module: { inherit (module) file options; }) all;
          definitions = builtins.concatMap (
            module: map (config: { inherit (module) file; inherit config; }) (pushDown module.config)
          ) all;
        };
      in
      {
        inherit (evaluated) config options;
        inherit lib;
      };
  };

  # One level of the tree of options.
  mergeTree =
    {
      location,
      depth,
      carried,
      declarations,
      definitions,
    }:
    let
      declared = byName (one: one.options) declarations;
      defined = byName (one: one.config) definitions;
      isCarried = name: depth > 0 || builtins.elem name carried;
      unknown = removeAttrs defined (builtins.attrNames declared);
      branches = builtins.mapAttrs (
        name: found:
        let
          here = location ++ [ name ];
          isLeaf = one: isOption one.value;
        in
        if builtins.any isLeaf found then
          leaf here (onlyOne here found) (defined.${name} or [ ])
        else
          mergeTree {
            location = here;
            depth = if builtins.elem name carried || depth > 0 then depth + 1 else 0;
            carried = [ ];
            declarations = map (one: { inherit (one) file; options = one.value; }) found;
            definitions = builtins.concatMap (
              one: map (config: { inherit (one) file; inherit config; }) (pushDown one.value)
            ) (defined.${name} or [ ]);
          }
      ) declared;
      extra = builtins.mapAttrs (
        name: found:
        if isCarried name then
          (self.mergeDefinitions (location ++ [ name ]) lib.types.carried found).value
        else
          throw "The option `${showOption (location ++ [ name ])}' does not exist. Definition values:${
            showDefinitions found
          }${nearest name (builtins.attrNames declared)}"
      ) unknown;
      # An unknown name must not wait until somebody asks for it.
      checked = builtins.all (name: isCarried name || builtins.seq extra.${name} true) (builtins.attrNames unknown);
    in
    {
      config = builtins.mapAttrs (_: branch: if checked then branch.config else null) branches // extra;
      options = builtins.mapAttrs (_: branch: branch.options) branches;
    };

  nearest =
    name: names:
    let
      alike = builtins.filter (other: builtins.substring 0 3 other == builtins.substring 0 3 name) names;
    in
    lib.optionalString (alike != [ ]) "\n\nDid you mean ${builtins.concatStringsSep " or " (map (other: "`${other}'") alike)}?";

  onlyOne =
    location: found:
    if builtins.length found == 1 then
      let
        one = builtins.head found;
      in
      one.value // { declaredIn = one.file; }
    else
      throw "The option `${showOption location}' in ${lib.showFiles (map (one: one.file) (lib.drop 1 found))} is already declared in ${lib.showFiles [ (builtins.head found).file ]}.";

  leaf =
    location: option: definitions:
    let
      type = option.type or (if option ? typeName then lib.types.${option.typeName} else lib.types.unspecified);
      default = lib.optional (option ? default) {
        file = option.declaredIn;
        value = lib.mkOptionDefault option.default;
      };
      merged = self.mergeDefinitions location type (
        definitions ++ default
      );
      value =
        if option.readOnly or false && builtins.length (resolve definitions) > 1 then
          throw "The option `${showOption location}' is read-only, but it's set multiple times.${showDefinitions definitions}"
        else
          merged.value;
    in
    {
      config = (option.apply or (plain: plain)) value;
      options = option // {
        inherit (merged) isDefined;
        inherit value;
        files = map (one: one.file) definitions;
        highestPrio = builtins.foldl' (least: one: if priorityOf one.value < least then priorityOf one.value else least) 9999 (
          builtins.concatMap (one: map (value: { inherit value; }) (discharge one.value)) definitions
        );
      };
    };

  # [ { file, SET } ] → name → [ { file, value } ]
  byName =
    set: list:
    builtins.zipAttrsWith (_: found: found) (
      map (one: builtins.mapAttrs (_: value: { inherit (one) file; inherit value; }) (set one)) list
    );
in
self
