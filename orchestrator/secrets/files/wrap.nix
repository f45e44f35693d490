# What a secrets.nix says, as plain data of bounded size.
#
# A `throw` or a failed `assert` within an entry stays in that entry: it becomes null. Any other
# error of Nix's ends the evaluation.
{ file }:
let
  most = {
    entries = 100000;
    keys = 4096;
    key = 16384; # bytes
    all = 134217728; # bytes, of all keys together
  };

  given = import (/. + file);
  rules = if builtins.isFunction given then given { } else given;

  key =
    value:
    if !builtins.isString value then
      { type = builtins.typeOf value; }
    else if builtins.stringLength value > most.key then
      { length = builtins.stringLength value; }
    else
      value;

  entry =
    value:
    let
      keys = value.publicKeys or null;
      armor = value.armor or false;
      count = if builtins.isList keys then builtins.length keys else 0;
    in
    {
      inherit count;
      type = builtins.typeOf value;
      keysType = builtins.typeOf keys;
      keys = if count > 0 && count <= most.keys then map key keys else [ ];
      armor = if builtins.isBool armor then armor else { type = builtins.typeOf armor; };
    };

  isolated =
    name:
    let
      said = entry rules.${name};
      tried = builtins.tryEval (builtins.deepSeq said said);
    in
    {
      inherit name;
      said = if tried.success then tried.value else null;
    };

  size =
    one:
    if one.said == null then
      0
    else
      builtins.foldl' (sum: k: sum + (if builtins.isString k then builtins.stringLength k else 0)) 0
        one.said.keys;

  names = builtins.attrNames rules;
  entries = map isolated names;
  total = builtins.foldl' (sum: one: sum + size one) 0 entries;
in
if !builtins.isAttrs rules then
  { type = builtins.typeOf rules; }
else if builtins.length names > most.entries then
  throw "it has ${toString (builtins.length names)} entries; at most ${toString most.entries} are read"
else if total > most.all then
  throw "its keys have ${toString total} bytes; at most ${toString most.all} are read"
else
  { inherit entries; }
