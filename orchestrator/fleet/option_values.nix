# Values of Nix's, in JSON and with bounds: a package set has no end.
let
  inherit (builtins)
    attrNames
    elemAt
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    substring
    toString
    tryEval
    ;
  take = count: list: builtins.genList (elemAt list) count;
  # What throws is of no kind.
  isKind =
    kind: value:
    let
      got = tryEval (isAttrs value && value._type or null == kind);
    in
    got.success && got.value;
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
in
{
  inherit
    isDerivation
    isKind
    longest
    shown
    shownAt
    take
    ;
}
