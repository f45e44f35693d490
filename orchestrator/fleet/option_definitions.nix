# What modules define, as they are written: of an option, or of all. With `untaken` what stands under a
# condition that is false is looked at too, as far as its name: that may not evaluate.
{ isKind, ... }:
lib: untaken:
let
  inherit (builtins)
    all
    concatMap
    elem
    filter
    foldl'
    functionArgs
    genericClosure
    head
    isAttrs
    isFunction
    isPath
    isString
    mapAttrs
    substring
    tail
    toString
    tryEval
    ;
  defaultPriority = 100;

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
  spread = spreadTo false;
  # What is not taken is not looked at, where that is the `end`: not even its priority.
  spreadTo =
    end: one:
    let
      again = more: spreadTo end (one // more);
      inherit (one) value;
    in
    if end && isUntaken one then
      [ one ]
    else if isKind "merge" value then
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
      got = tryEval (spreadTo (untaken && names == [ ]) one);
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
      looked = depth < 2 && names != [ ] || untaken || holds one;
    in
    if !looked || !got.success then
      [ ]
    else if names == [ ] then
      got.value
    else
      concatMap (each: if depth < 1 || untaken || holds each then step each else [ ]) got.value;
  holds = isSo true;
  # That of a condition which does not evaluate is neither.
  isUntaken = isSo false;
  isSo =
    wanted: one:
    let
      got = tryEval (all (condition: condition) one.when);
    in
    got.success && got.value == wanted;
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
in
{
  inherit
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
}
