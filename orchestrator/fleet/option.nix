# What stands behind an option of a host: its value, its definitions, where it is declared.
#
# The module system keeps of an option's definitions those that count. Which others there are, and of
# what priority, only the modules say: they are read once more, with the arguments that they had.
#
#   path      names, the option's first
#   values    whether the value is wanted: it may not evaluate, and the rest is told all the same
#   defined   likewise the definitions' values
#   untaken   likewise definitions whose condition is false; their values are never looked at
#   root      where it is given, all that modules below this folder define is told instead
optionValues: optionDefinitions:
{
  path,
  values,
  defined,
  untaken ? false,
  root ? null,
}:
evaluated:
let
  lib = evaluated.lib or evaluated.pkgs.lib;
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    head
    isAttrs
    length
    substring
    tail
    toString
    tryEval
    ;
  inherit (optionValues)
    isDerivation
    isKind
    longest
    shown
    shownAt
    take
    ;
  inherit (optionDefinitions lib untaken)
    definitionsOf
    everything
    holds
    inner
    isUntaken
    modulesOf
    ranked
    raw
    spread
    within
    ;
  drop = count: list: builtins.genList (at: elemAt list (at + count)) (length list - count);
  optionDefault = 1500;

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
      let
        end = plain type value names (inner definitions);
      in
      if end.kind == "missing" then end // { at = at ++ end.at; } else end;
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
    inherit (evaluated) options;
    # What a configuration has of the module system itself stands beside it.
    config = lib.optionalAttrs (evaluated ? _module) { inherit (evaluated) _module; } // evaluated.config;
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
  notTaken =
    one:
    definition (one // { counts = false; }) // { value = null; };

  # ── All definitions of the modules below a folder ──────────────────────────────────────────────
  ours = filter (module: lib.hasPrefix root module.file) (modulesOf top);
  below =
    node: names: one:
    let
      got = tryEval (spread one);
      ends = each: isKind "option" node || !isAttrs each.value || isDerivation each.value;
      step =
        each:
        let
          end = tryEval (ends each);
        in
        if !holds each then
          [ ]
        else if !end.success || end.value then
          [ (each // { inherit names; }) ]
        else
          concatMap (
            name:
            below (node.${name} or { }) (names ++ [ name ]) (each // { value = each.value.${name}; })
          ) (attrNames each.value);
    in
    if !holds one || !got.success then [ ] else concatMap step got.value;
  defines = one: {
    inherit (one) names;
    file = toString one.file;
    value = if defined then shown 0 one.value else null;
  };
in
if root != null then
  {
    files = map (module: module.file) ours;
    definitions = map defines (
      concatMap (module: below evaluated.options [ ] (raw module.file module.config)) ours
    );
  }
else if went.kind == "group" || went.kind == "missing" then
  went // { names = take (if length went.names < 2000 then length went.names else 2000) went.names; }
else
  {
    inherit (went) kind;
    type = went.type.description or went.type.name;
    value = if values then shownAt 0 went.value else null;
    definitions = map definition (ranked went.definitions);
    untaken = map notTaken (if untaken then filter isUntaken went.definitions else [ ]);
    whole = payload != null;
  }
  // (if went.kind == "option" then about went.option else { })
