# lib.fileset, as far as a package's source needs it: files and folders by their names.
{ lib }:
{
  unions = map (
    one:
    if !builtins.isPath one then
      throw "lib.fileset.unions: an element is no path"
    else if !builtins.pathExists one then
      throw "lib.fileset.unions: ${toString one} is a path that does not exist"
    else
      toString one
  );

  toSource =
    { root, fileset }:
    if !builtins.isPath root then
      throw "lib.fileset.toSource: `root` is no path"
    else
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: _:
          builtins.any (
            one: path == one || lib.hasPrefix "${one}/" path || lib.hasPrefix "${path}/" one
          ) fileset;
      };
}
