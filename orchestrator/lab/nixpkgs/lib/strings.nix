# Strings, as nixpkgs' lib/strings.nix.
let
  letters = from: builtins.genList (n: builtins.substring n 1 from) 26;
  upper = letters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  lower = letters "abcdefghijklmnopqrstuvwxyz";
  self = {
    concatStrings = builtins.concatStringsSep "";
    concatMapStrings = f: list: self.concatStrings (map f list);
    concatMapStringsSep = separator: f: list: builtins.concatStringsSep separator (map f list);
    concatLines = self.concatMapStrings (line: "${line}\n");
    optionalString = condition: text: if condition then text else "";
    stringToCharacters =
      text: builtins.genList (n: builtins.substring n 1 text) (builtins.stringLength text);
    toUpper = builtins.replaceStrings lower upper;
    toLower = builtins.replaceStrings upper lower;
    hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        size = builtins.stringLength suffix;
        start = builtins.stringLength text - size;
      in
      start >= 0 && builtins.substring start size text == suffix;
    hasInfix = infix: text: builtins.length (builtins.split (self.escapeRegex infix) text) > 1;
    removePrefix =
      prefix: text:
      if self.hasPrefix prefix text then
        builtins.substring (builtins.stringLength prefix) (-1) text
      else
        text;
    removeSuffix =
      suffix: text:
      if self.hasSuffix suffix text then
        builtins.substring 0 (builtins.stringLength text - builtins.stringLength suffix) text
      else
        text;
    escape =
      characters: builtins.replaceStrings characters (map (character: "\\${character}") characters);
    escapeRegex = self.escape (self.stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg =
      value:
      let
        text = builtins.toString value;
      in
      if builtins.match "[[:alnum:],._+:@%/-]+" text == null then
        "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'"
      else
        text;
    escapeShellArgs = self.concatMapStringsSep " " self.escapeShellArg;
    splitString =
      separator: text:
      builtins.filter builtins.isString (builtins.split (self.escapeRegex separator) text);
    boolToString = value: if value then "true" else "false";
    # How many letters have to be changed, added or left out: row by row of the usual table.
    levenshtein =
      a: b:
      let
        least = x: y: if x < y then x else y;
        letters = self.stringToCharacters b;
        next =
          row: letter:
          builtins.foldl' (
            done: n:
            let
              changed =
                builtins.elemAt row n + (if builtins.elemAt letters n == letter then 0 else 1);
              either = least (builtins.elemAt row (n + 1)) (builtins.elemAt done n) + 1;
            in
            done ++ [ (least changed either) ]
          ) [ (builtins.head row + 1) ] (builtins.genList (n: n) (builtins.length letters));
        first = builtins.genList (n: n) (builtins.length letters + 1);
        rows = builtins.foldl' next first (self.stringToCharacters a);
      in
      builtins.elemAt rows (builtins.length letters);
    fixedWidthString =
      width: fill: text:
      if builtins.stringLength text >= width then
        text
      else
        self.fixedWidthString width fill "${fill}${text}";
    trim = text: builtins.head (builtins.match "[[:space:]]*(.*[^[:space:]]|)[[:space:]]*" text);
    versionAtLeast = version: wanted: builtins.compareVersions version wanted >= 0;
    versionOlder = version: wanted: builtins.compareVersions version wanted < 0;
    generators.toJSON = _: builtins.toJSON;
  };
in
self
