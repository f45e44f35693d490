# What stands behind an option of a host: its value, its definitions, where it is declared.
#
# The module system keeps of an option's definitions those that count. Which others there are, and of
# what priority, only the modules say: they are read once more, with the arguments that they had.
#
#   path      names, the option's first
#   values    whether the value is wanted: it may not evaluate, and the rest is told all the same
#   defined   likewise the definitions' values
{
  path,
  values,
  defined,
}:
evaluated:
let
  lib = evaluated.lib or evaluated.pkgs.lib;
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    elemAt
    filter
    foldl'
    functionArgs
    genericClosure
    head
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    mapAttrs
    substring
    tail
    toString
    tryEval
    ;
  take = count: list: builtins.genList (elemAt list) count;
  drop = count: list: builtins.genList (at: elemAt list (at + count)) (length list - count);
  # What throws is of no kind.
  isKind =
    kind: value:
    let
      got = tryEval (isAttrs value && value._type or null == kind);
    in
    got.success && got.value;
  defaultPriority = 100;
  optionDefault = 1500;

  # ── Values, with bounds ────────────────────────────────────────────────────────────────────────
  longest = 2000;
  widths = [
    100
    30
    10
    5
  ];
  text = kind: value: { inherit kind value; };
  isDerivation = value: value.type or null == "derivation";
  shown =
    depth: value:
    let
      got = tryEval (builtins.deepSeq (shownAt depth value) (shownAt depth value));
    in
    if got.success then got.value else text "error" "";
  shownAt =
    depth: value:
    if isFunction value || value ? __functor then
      text "function" ""
    else if isAttrs value && isDerivation value then
      # To name the path of each is to evaluate it.
      text "derivation" (if depth == 0 then value.outPath else value.name or "")
    else if isKind "literalExpression" value || isKind "literalMD" value then
      text "code" (substring 0 longest value.text)
    else if isAttrs value || isList value then
      collection depth value
    else if isPath value then
      text "path" (toString value)
    else if isString value then
      if builtins.stringLength value > longest then
        text "cut" (substring 0 longest (builtins.unsafeDiscardStringContext value))
      else
        text "plain" (builtins.unsafeDiscardStringContext value)
    else
      text "plain" value;
  collection =
    depth: value:
    let
      names = attrNames value;
      size = if isList value then length value else length names;
      most = if depth >= length widths then 0 else elemAt widths depth;
      few = if size < most then size else most;
      below = shown (depth + 1);
    in
    {
      kind = if isList value then "list" else "set";
      inherit size;
      value =
        if isList value then
          map below (take few value)
        else
          map (name: {
            inherit name;
            value = below value.${name};
          }) (take few names);
    };

  # ── Modules, as they are written ───────────────────────────────────────────────────────────────
  called =
    level: value:
    let
      known = {
        inherit lib;
        inherit (level) config options;
        specialArgs = level.special;
        _class = null;
        _prefix = level.at;
      }
      // level.special;
      find = name: _: known.${name} or level.more.${name};
    in
    if isFunction value then
      value (known // mapAttrs find (functionArgs value))
    else if isAttrs value && value ? __functor then
      value (known // mapAttrs find (value.__functionArgs or { }))
    else
      value;
  load =
    level: parent: index: written:
    let
      isFile = isPath written || isString written;
      value = called level (if isFile then import written else written);
      file = value._file or (if isFile then toString written else parent.file);
      key =
        if value ? key then
          toString value.key
        else if isFile then
          toString written
        else
          "${parent.key}:${toString index}";
      meta = [
        "_class"
        "_file"
        "disabledModules"
        "freeformType"
        "imports"
        "key"
        "meta"
        "options"
        "require"
      ];
      plain = !isAttrs value || value ? _type;
    in
    {
      inherit key file;
      imports = if plain then [ ] else value.imports or [ ];
      disabled = if plain then [ ] else value.disabledModules or [ ];
      config =
        if plain then
          value
        else if value ? config || value ? options then
          value.config or { }
        else
          removeAttrs value meta;
    };
  modulesOf =
    level:
    let
      root = {
        key = "";
        file = level.file;
      };
      nodes =
        keep: parent: modules:
        filter (one: keep one.key) (lib.imap1 (load level parent) modules);
      closure =
        keep:
        genericClosure {
          startSet = nodes keep root level.modules;
          operator = one: nodes keep one one.imports;
        };
      found = closure (_: true);
      path = level.special.modulesPath or "";
      keyOf =
        one:
        if isAttrs one then
          toString one.key
        else if isString one && substring 0 1 one != "/" then
          "${toString path}/${one}"
        else
          toString one;
      disabled = map keyOf (concatMap (one: one.disabled) found);
    in
    if disabled == [ ] then found else closure (key: !elem key disabled);

  # ── Definitions: { file, value, priority, when, at } ───────────────────────────────────────────
  # Properties are taken off, conditions are kept: only those of what is asked for are looked at.
  spread =
    one:
    let
      again = more: spread (one // more);
      inherit (one) value;
    in
    if isKind "merge" value then
      concatMap (value: again { inherit value; }) value.contents
    else if isKind "if" value then
      again {
        value = value.content;
        when = one.when ++ [ value.condition ];
      }
    else if isKind "override" value then
      again {
        value = value.content;
        priority = if one.priority == null then value.priority else one.priority;
      }
    else if isKind "order" value then
      again { value = value.content; }
    else if isKind "definition" value then
      again { inherit (value) file value; }
    else
      [ one ];
  # What a condition keeps from being looked at may not evaluate.
  within = stepped 0;
  stepped =
    depth: names: one:
    let
      got = tryEval (spread one);
      name = head names;
      step =
        each:
        let
          there = tryEval (isAttrs each.value && each.value ? ${name});
          at = builtins.unsafeGetAttrPos name each.value;
          ours = at != null && elem at.file [ each.file "${each.file}/default.nix" ];
        in
        if there.success && there.value then
          stepped (depth + 1) (tail names) (
            each
            // {
              value = each.value.${name};
              at = if ours then { inherit (at) file line; } else null;
            }
          )
        else
          [ ];
      looked = depth < 2 && names != [ ] || holds one;
    in
    if !looked || !got.success then
      [ ]
    else if names == [ ] then
      got.value
    else
      concatMap (each: if depth < 1 || holds each then step each else [ ]) got.value;
  holds =
    one:
    let
      got = tryEval (all (condition: condition) one.when);
    in
    got.success && got.value;
  raw = file: value: {
    inherit file value;
    priority = null;
    when = [ ];
    at = null;
  };
  everything = level: map (module: raw module.file module.config) (modulesOf level) ++ level.given;
  definitionsOf = level: names: concatMap (within names) (everything level);
  counted = map (one: one // { priority = if one.priority == null then defaultPriority else one.priority; });
  ranked =
    definitions:
    let
      those = counted (filter holds definitions);
      least = foldl' (least: one: if one.priority < least then one.priority else least) 9999 those;
    in
    map (one: one // { counts = one.priority == least; }) those;
  # What counts, for what is below it: there priorities begin anew.
  inner = definitions: map (one: one // { priority = null; when = [ ]; }) (
    filter (one: one.counts) (ranked definitions)
  );

  # ── Ways down ──────────────────────────────────────────────────────────────────────────────────
  walk =
    level: node: at: names:
    if isKind "option" node then
      leaf level node at names
    else if length names == at then
      {
        kind = "group";
        at = take at names;
        names = filter (name: name != "_module") (attrNames node);
      }
    else if node ? ${elemAt names at} then
      walk level node.${elemAt names at} (at + 1) names
    else if level.free names then
      plain level.type level.config names (everything level)
    else
      missing names at (attrNames node);
  missing = names: at: there: {
    kind = "missing";
    at = take at names;
    name = elemAt names at;
    names = filter (name: name != "_module" && name != "_freeformOptions") there;
  };
  leaf =
    level: option: at: names:
    let
      own = lib.optional (option ? default) (
        raw (if option ? declarations && option.declarations != [ ] then toString (head option.declarations) else "") option.default
        // {
          priority = optionDefault;
        }
      );
      definitions = own ++ definitionsOf level (take at names);
      value = lib.attrByPath (take at names) null level.config;
      rest = drop at names;
    in
    if rest == [ ] then
      {
        kind = "option";
        inherit value definitions;
        inherit (option) type;
        # Of a submodule's, only how it is declared is known: its definitions are not in here.
        option = if level.at == [ ] then option else removeAttrs option [ "definitionsWithLocations" "highestPrio" ];
      }
    else
      inside option.type value rest definitions (level.at ++ take at names);
  wraps = type: elem type.name [ "nullOr" "uniq" "unique" ] || lib.hasPrefix "null or " type.name;
  inside =
    type: value: names: definitions: at:
    let
      nested = type.nestedTypes or { };
      next = elemAt names 0;
      sub = type.getSubModules or null;
      enters = one: (one.getSubModules or null) != null || (one.nestedTypes or { }) ? elemType;
    in
    if nested ? elemType && wraps type then
      inside nested.elemType value names definitions at
    else if nested ? finalType then
      inside nested.finalType value names definitions at
    else if nested ? left && nested ? right then
      inside (if enters nested.right then nested.right else nested.left) value names definitions at
    else if nested ? elemType && isAttrs value then
      if !(value ? ${next}) then
        missing names 0 (attrNames value) // { inherit at; }
      else
        found nested.elemType value.${next} (tail names) (
          concatMap (within [ next ]) (inner definitions)
        ) (at ++ [ next ])
    else if sub != null && isAttrs value then
      submodule type value names definitions at
    else
      plain type value names (inner definitions) // { above = at; };
  found =
    type: value: names: definitions: at:
    if names == [ ] then
      {
        kind = "inside";
        inherit type value definitions;
      }
    else
      inside type value names definitions at;
  submodule =
    type: value: names: definitions: at:
    let
      payload = type.functor.payload or { };
      options = type.getSubOptions at;
      level = {
        inherit at options type;
        config = value;
        modules = type.getSubModules;
        special = payload.specialArgs or { };
        more.name = lib.last at;
        given = inner definitions;
        file = "";
        free = names: value ? ${head names};
      };
      went = walk level options 0 names;
    in
    if went.kind == "missing" || went.kind == "group" then went // { at = at ++ went.at; } else went;
  # Where no type says what is below.
  plain =
    type: value: names: definitions:
    let
      step = at: here:
        if length names == at then
          {
            kind = "inside";
            inherit type;
            value = here;
            definitions = concatMap (within names) definitions;
          }
        else if isAttrs here && here ? ${elemAt names at} then
          step (at + 1) here.${elemAt names at}
        else
          missing names at (if isAttrs here then attrNames here else [ ]);
    in
    step 0 value;

  payload = (evaluated.type.functor or { }).payload or null;
  top = {
    at = [ ];
    inherit (evaluated) config options;
    modules = if payload == null then [ ] else payload.modules;
    special = if payload == null then { } else payload.specialArgs or { };
    more = (evaluated._module or evaluated.config._module).args;
    given = [ ];
    file = "";
    # A set of options without names of its own: what nobody declares may be defined there.
    free = names: evaluated.config ? ${head names} && !(evaluated.options ? ${head names});
    type.name = "not declared";
  };
  went = walk top evaluated.options 0 path;

  # ── The answer ─────────────────────────────────────────────────────────────────────────────────
  place = one: {
    file = toString one.file;
    line = one.line or null;
  };
  words = one: if isAttrs one then one.text or "" else one;
  about = option: {
    description = substring 0 longest (words (option.description or ""));
    declared =
      if option.declarationPositions or [ ] != [ ] then
        map place option.declarationPositions
      else
        map (file: {
          file = toString file;
          line = null;
        }) (option.declarations or [ ]);
    default =
      if option ? defaultText then
        shown 0 option.defaultText
      else if option ? default then
        shown 0 option.default
      else
        null;
    readOnly = option.readOnly or false;
    # What the module system itself says of the definitions that count; null in a submodule.
    counting =
      let
        files = map (one: toString one.file) option.definitionsWithLocations;
        got = tryEval (builtins.deepSeq files files);
      in
      if option ? definitionsWithLocations && got.success then got.value else null;
    priority =
      let
        got = tryEval (option.highestPrio or null);
      in
      if got.success then got.value else null;
  };
  definition = one: {
    file = if one.at == null then toString one.file else one.at.file;
    line = if one.at == null then null else one.at.line;
    inherit (one) priority counts;
    value = if defined then shown 0 one.value else null;
  };
in
if went.kind == "group" || went.kind == "missing" then
  went // { names = take (if length went.names < 2000 then length went.names else 2000) went.names; }
else
  {
    inherit (went) kind;
    type = went.type.description or went.type.name;
    value = if values then shownAt 0 went.value else null;
    definitions = map definition (ranked went.definitions);
    whole = payload != null;
  }
  // (if went.kind == "option" then about went.option else { })
