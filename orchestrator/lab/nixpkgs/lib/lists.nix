# Lists, as nixpkgs' lib/lists.nix.
let
  self = {
    singleton = value: [ value ];
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    toList = value: if builtins.isList value then value else [ value ];
    flatten =
      value: if builtins.isList value then builtins.concatMap self.flatten value else [ value ];
    last = list: builtins.elemAt list (builtins.length list - 1);
    init = list: self.take (builtins.length list - 1) list;
    take = count: list: self.sublist 0 count list;
    drop = count: list: self.sublist count (builtins.length list) list;
    sublist =
      start: count: list:
      let
        left = builtins.length list - start;
        size = if left <= 0 then 0 else if count > left then left else count;
      in
      builtins.genList (index: builtins.elemAt list (start + index)) size;
    reverseList =
      list:
      let
        last = builtins.length list - 1;
      in
      builtins.genList (index: builtins.elemAt list (last - index)) (last + 1);
    foldr = f: start: list: builtins.foldl' (rest: value: f value rest) start (self.reverseList list);
    fold = self.foldr;
    range =
      first: last: if last < first then [ ] else builtins.genList (n: first + n) (last - first + 1);
    imap0 = f: list: builtins.genList (n: f n (builtins.elemAt list n)) (builtins.length list);
    imap1 = f: list: builtins.genList (n: f (n + 1) (builtins.elemAt list n)) (builtins.length list);
    unique = builtins.foldl' (
      seen: value: if builtins.elem value seen then seen else seen ++ [ value ]
    ) [ ];
    subtractLists = without: builtins.filter (value: !builtins.elem value without);
    intersectLists = others: builtins.filter (value: builtins.elem value others);
    partition = builtins.partition;
    count = predicate: list: builtins.length (builtins.filter predicate list);
    findFirst =
      predicate: default: list:
      let
        found = builtins.filter predicate list;
      in
      if found == [ ] then default else builtins.head found;
    zipListsWith =
      f: a: b:
      let
        sizeA = builtins.length a;
        sizeB = builtins.length b;
      in
      builtins.genList (n: f (builtins.elemAt a n) (builtins.elemAt b n)) (
        if sizeA < sizeB then sizeA else sizeB
      );
    naturalSort = builtins.sort (a: b: a < b);
  };
in
self
