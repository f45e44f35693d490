# What a host's configuration declares that a host can be held against. Each part stands by itself: it is
# null where it cannot be evaluated. No password or hash is in it; keys are public ones.
wanted: parent:
let
  inherit (builtins)
    attrNames
    concatMap
    deepSeq
    elem
    filter
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    listToAttrs
    map
    mapAttrs
    match
    pathExists
    readFile
    split
    tryEval
    unsafeDiscardStringContext
    ;

  # Of a specialisation, where it is one that the host is to run and the system has it.
  variant = (parent.specialisation or { }).${wanted} or { configuration = parent; };
  config = variant.configuration;

  data =
    value:
    if isString value then
      unsafeDiscardStringContext value
    else if isInt value || isBool value || isFloat value then
      value
    else if isList value then
      map data value
    else if isAttrs value && (value.type or "") != "derivation" then
      mapAttrs (_: data) value
    else
      null;
  part =
    value:
    let
      plain = data value;
      found = tryEval (deepSeq plain plain);
    in
    if found.success then found.value else null;
  is = value: value != null && value != "" && value != [ ] && value != { };
  named =
    set: one:
    listToAttrs (
      map (name: {
        name = set.${name}.name or name;
        value = one set.${name};
      }) (attrNames set)
    );

  range = one: [
    one.from
    one.to
  ];
  opened = set: {
    tcp = set.allowedTCPPorts or [ ];
    udp = set.allowedUDPPorts or [ ];
    tcp_ranges = map range (set.allowedTCPPortRanges or [ ]);
    udp_ranges = map range (set.allowedUDPPortRanges or [ ]);
  };
  wall = (config.networking or { }).firewall or { };
  firewall = {
    enable = wall.enable or null;
    everybody = opened wall;
    interfaces = mapAttrs (_: opened) (wall.interfaces or { });
    trusted = wall.trustedInterfaces or [ ];
  };

  password =
    one:
    let
      given = filter (it: it != null) [
        (one.password or null)
        (one.initialPassword or null)
        (one.hashedPassword or null)
        (one.initialHashedPassword or null)
      ];
      usable = filter (it: match "[!*].*" it == null) given;
      files = is (one.hashedPasswordFile or null) || is (one.passwordFile or null);
    in
    if elem "" given then
      "empty"
    else if usable != [ ] || files then
      "set"
    else
      "none";
  lines = text: filter (one: isString one && one != "") (split "\n" text);
  account =
    one:
    let
      said = (one.openssh or { }).authorizedKeys or { };
      # A file that has to be built first is not read.
      here = filter (file: isPath file && pathExists file) (said.keyFiles or [ ]);
    in
    {
      uid = one.uid or null;
      person = one.isNormalUser or false;
      groups = filter is ([ (one.group or "") ] ++ (one.extraGroups or [ ]));
      password = password one;
      keys = (said.keys or [ ]) ++ concatMap (file: lines (readFile file)) here;
      unread = here != (said.keyFiles or [ ]);
    };
  users = config.users or { };

  wrapper = one: {
    setuid = one.setuid or false;
    setgid = one.setgid or false;
    capabilities = one.capabilities or "";
  };

  services = config.services or { };
  virtual = config.virtualisation or { };
  on = set: filter (name: (set.${name} or { }).enable or false);
  engines =
    on virtual [
      "containerd"
      "cri-o"
      "docker"
      "incus"
      "libvirtd"
      "lxc"
      "lxd"
      "podman"
      "waydroid"
    ]
    ++ on services [
      "k3s"
      "rke2"
      "flatpak"
      "hydra"
    ]
    ++ filter (_: is (config.containers or { })) [ "containers" ]
    ++ filter (_: is ((virtual.oci-containers or { }).containers or { })) [ "oci-containers" ]
    ++ filter (_: is ((services.kubernetes or { }).roles or [ ])) [ "kubernetes" ];

  loader = (config.boot or { }).loader or { };
in
{
  firewall = part firewall;
  accounts = part (named (users.users or { }) account);
  groups = part (named (users.groups or { }) (one: one.members or [ ]));
  mutable = part (users.mutableUsers or true);
  wrappers = part (
    mapAttrs (_: wrapper) (
      listToAttrs (
        map (name: {
          inherit name;
          value = config.security.wrappers.${name};
        }) (
          filter (name: config.security.wrappers.${name}.enable or true) (
            attrNames ((config.security or { }).wrappers or { })
          )
        )
      )
    )
  );
  engines = part engines;
  cron = part ((services.cron or { }).enable or false || (services.fcron or { }).enable or false);
  entries = part (attrNames ((loader.systemd-boot or { }).extraEntries or { }));
}
