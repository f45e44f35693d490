# What a flake's outputs say of hosts. No host is evaluated, but by `evaluated` and `clanHosts`.
let
  inherit (builtins) tryEval;

  # A value; null where it throws, or waits for what only an evaluation of the host knows.
  told =
    value:
    let
      tried = tryEval value;
    in
    if !tried.success then
      null
    else if tried.value._type or null == "override" then
      told tried.value.content
    else
      tried.value;

  text =
    value:
    let
      found = told value;
    in
    if builtins.isString found then
      builtins.unsafeDiscardStringContext found
    else if builtins.isInt found then
      toString found
    else
      null;

  texts =
    value:
    let
      found = told value;
    in
    if builtins.isList found then builtins.filter (one: one != null) (map text found) else [ ];

  isNull =
    value:
    let
      tried = tryEval value;
    in
    tried.success && tried.value == null;

  switch = value: told value == true;

  # The settings of Colmena's that a deployment here has, too.
  deployment = said: {
    # Of a node that is nowhere but here it is null.
    host = text (said.targetHost or null);
    local = said ? targetHost && isNull said.targetHost;
    user = text (said.targetUser or null);
    # Whoever ssh logs in as; where it is not said it is root.
    anybody = said ? targetUser && isNull said.targetUser;
    port = text (said.targetPort or null);
    tags = texts (said.tags or [ ]);
    onTarget = switch (said.buildOnTarget or false);
    keys = builtins.isAttrs (told (said.keys or { })) && (said.keys or { }) != { };
    unknown = builtins.filter (name: said ? ${name} && !(tryEval said.${name}).success) settings;
  };

  waits = throw "only an evaluation of the host knows it";

  settings = [
    "targetHost"
    "targetUser"
    "targetPort"
    "tags"
    "buildOnTarget"
  ];

  allWait = builtins.mapAttrs (_: _: waits);

  isModule = value: builtins.isAttrs value || builtins.isFunction value;

  # A module's attributes as far as they are told without the module system: its arguments throw.
  opened =
    given: module:
    let
      read = if isModule module then module else import module;
      named = builtins.functionArgs read;
      arguments =
        if named == { } then
          {
            config = waits;
            lib = waits;
            nodes = waits;
            pkgs = waits;
          }
          // given
        else
          builtins.mapAttrs (name: _: given.${name} or waits) named;
    in
    if builtins.isFunction read then read arguments else read;

  # What mkMerge, mkIf, mkDefault, mkForce and mkBefore make of a value: its definitions, each with
  # its priority; of a condition that waits, each attribute waits.
  # https://github.com/NixOS/nixpkgs/blob/master/lib/modules.nix
  defined =
    priority: value:
    let
      tried = tryEval value;
      found = tried.value;
      type = found._type or null;
      condition = tryEval found.condition;
      content = tryEval found.content;
      waiting =
        if content.success && builtins.isAttrs content.value && !(content.value ? _type) then
          allWait content.value
        else
          waits;
      plain = value: [ { inherit priority value; } ];
    in
    if !tried.success then
      plain waits
    else if type == "merge" then
      builtins.concatMap (defined priority) found.contents
    else if type == "override" then
      defined found.priority found.content
    else if type == "order" then
      defined priority found.content
    else if type == "if" && !condition.success then
      plain waiting
    else if type == "if" then
      if condition.value then defined priority found.content else [ ]
    else
      plain found;

  # The definitions of an attribute of an attribute set's definition.
  within =
    name: one:
    let
      set = told one.value;
    in
    if builtins.isAttrs set && set ? ${name} then defined one.priority set.${name} else [ ];

  # Each definition of `deployment` of a module and of what it imports, the outermost first.
  deployments =
    depth: given: module:
    let
      found = defined 100 (opened given module);
      sets = builtins.concatMap (
        one: if (told one.value) ? config then within "config" one else [ one ]
      ) found;
      more = builtins.concatMap (within "imports") found;
      plain = one: builtins.isPath (told one) || isModule (told one);
      listed = one: if builtins.isList (told one.value) then builtins.filter plain one.value else [ ];
    in
    if depth == 0 then
      [ ]
    else
      builtins.concatMap (within "deployment") sets
      ++ builtins.concatMap (deployments (depth - 1) given) (builtins.concatMap listed more);

  # A deployment of its definitions: of a setting the first of those that weigh most, and all tags.
  merged =
    parts:
    let
      all = builtins.listToAttrs (
        map (name: {
          inherit name;
          value = null;
        }) settings
      );
      known = one: if (tryEval one.value).success then one else one // { value = allWait all; };
      sets = map known parts;
      of = name: builtins.concatMap (within name) sets;
      weight = low: one: if one.priority < low then one.priority else low;
      heaviest =
        found: builtins.filter (one: one.priority == builtins.foldl' weight 9999 found) found;
      list = one: if (tryEval one.value).success then texts one.value else waits;
      names = builtins.attrNames (builtins.foldl' (before: one: before // (told one.value)) { } sets);
      setting =
        name:
        let
          found = heaviest (of name);
        in
        {
          inherit name;
          value = if name == "tags" then builtins.concatMap list found else (builtins.head found).value;
        };
    in
    builtins.listToAttrs (map setting (builtins.filter (name: of name != [ ]) names));
in
{
  hosts = outputs: {
    outputs = builtins.attrNames outputs;
    hosts = builtins.attrNames (outputs.nixosConfigurations or { });
  };

  # https://github.com/serokell/deploy-rs: a profile's settings go before a node's, those before all.
  deploy =
    names: outputs:
    let
      all = outputs.deploy;
      wanted = builtins.listToAttrs (
        map (name: {
          inherit name;
          value = all.nodes.${name};
        }) names
      );
    in
    builtins.mapAttrs (
      _: node:
      let
        system = node.profiles.system or { };
        one = name: told (system.${name} or node.${name} or all.${name} or null);
      in
      {
        host = text (node.hostname or null);
        user = text (one "sshUser");
        options = texts (all.sshOpts or [ ]) ++ texts (node.sshOpts or [ ]) ++ texts (system.sshOpts or [ ]);
        onTarget = one "remoteBuild" == true;
        system = node ? profiles.system;
        profile = text (system.profilePath or null);
      }
    ) wanted;

  deployNodes = outputs: builtins.attrNames outputs.deploy.nodes;

  # A hive as it is written: https://colmena.cli.rs/unstable/reference/deployment.html
  colmena =
    names: outputs:
    let
      hive = if builtins.isFunction outputs.colmena then outputs.colmena { } else outputs.colmena;
      parts =
        name: module:
        builtins.concatMap (deployments 8 (
          {
            inherit name;
          }
          // (
            let
              lib = told (hive.meta.nixpkgs.lib or null);
            in
            if builtins.isAttrs lib then { inherit lib; } else { }
          )
        )) (if builtins.isList module then module else [ module ]);
    in
    builtins.mapAttrs (
      name: module: deployment (merged (parts name module ++ parts name (hive.defaults or { })))
    ) (
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = hive.${name};
        }) names
      )
    );

  colmenaNodes =
    outputs:
    let
      hive = if builtins.isFunction outputs.colmena then outputs.colmena { } else outputs.colmena;
    in
    builtins.attrNames (
      removeAttrs hive [
        "defaults"
        "meta"
        "network"
      ]
    );

  # The same by the module system, of the hosts that are named.
  evaluated =
    names: outputs:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = deployment outputs.colmenaHive.nodes.${name}.config.deployment;
      }) names
    );

  hive = outputs: builtins.attrNames outputs.colmenaHive.nodes;

  # https://docs.clan.lol: the inventory's machines.
  clan =
    outputs:
    builtins.mapAttrs (_: machine: {
      host = text (machine.deploy.targetHost or null);
      tags = texts (machine.tags or [ ]);
    }) (outputs.clan.inventory.machines or outputs.clanInternals.inventory.machines or { });

  clanHosts =
    names: outputs:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = text (outputs.nixosConfigurations.${name}.config.clan.core.networking.targetHost or null);
      }) names
    );
}
