# Options that nothing implements, as data: what a system or a home writes into its carried.json.
{ lib }:
let
  # A package is its path, a function only that it is one.
  data =
    value:
    if lib.isDerivation value then
      "${value}"
    else if builtins.isAttrs value then
      lib.mapAttrs (_: data) value
    else if builtins.isList value then
      map data value
    else if builtins.isFunction value then
      "<function>"
    else if builtins.isPath value then
      toString value
    else
      value;
  notImplemented =
    declared: set:
    lib.filterAttrs (_: one: one != { }) (
      lib.mapAttrs (
        name: one:
        if !declared ? ${name} then
          data one
        else if lib.isOption declared.${name} then
          { }
        else
          notImplemented declared.${name} one
      ) set
    );
in
# Of a configuration, what is below `names` and declared by nobody.
names: declared: config:
builtins.toJSON (
  notImplemented declared (lib.filterAttrs (name: _: builtins.elem name names) config)
)
