# What risk is derived from, of a host's evaluated configuration. Each part stands by itself: it is null
# where it cannot be evaluated, and the others are told all the same. No password, hash or key is in it.
wanted: parent:
let
  inherit (builtins)
    attrNames
    concatMap
    deepSeq
    elem
    filter
    head
    intersectAttrs
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    length
    listToAttrs
    mapAttrs
    match
    replaceStrings
    split
    tryEval
    unsafeDiscardStringContext
    ;

  # Of a specialisation, where it is one that the host is to run and the system has it.
  variant = (parent.specialisation or { }).${wanted} or { configuration = parent; };
  config = variant.configuration;

  # What JSON has; anything else is null, which nobody takes for an answer.
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
  each = one: set: mapAttrs (_: value: part (one value)) set;
  is = value: value != null && value != "" && value != [ ] && value != { };
  named = set: filter (name: is set.${name}) (attrNames set);
  lines = text: filter (line: isString line && match "[[:space:]]*(#.*)?" line == null) (split "\n" text);
  unlike = pattern: text: filter (line: match pattern line == null) (lines text);
  only = keys: set: intersectAttrs (listToAttrs (map (name: { inherit name; value = null; }) keys)) set;

  networking = config.networking or { };
  services = config.services or { };
  security = config.security or { };
  boot = config.boot or { };
  nix = config.nix or { };

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
  # What NixOS itself writes into `extraCommands`: address translation, in chains of its own, and a helper.
  translation =
    "[[:space:]]*(ip46tables|ip6?tables) -w -t (nat|filter) -[ADFINX] ([A-Z]+ -j )?nixos-(nat|filter-forward)[^;&#]*"
    + "|[[:space:]]*(ip46tables\\(\\) \\{|ip6?tables -w \"[$]@\"|})";
  firewall =
    let
      wall = networking.firewall or { };
      nftables = networking.nftables or { };
      ours = [
        "nixos-fw"
        "nixos-nat"
      ];
    in
    {
      enable = wall.enable or null;
      everybody = opened wall;
      interfaces = mapAttrs (_: opened) (wall.interfaces or { });
      trusted = wall.trustedInterfaces or [ ];
      forwards = map (one: one.sourcePort or 0) ((networking.nat or { }).forwardPorts or [ ]);
      own = named {
        "networking.firewall.extraCommands" = unlike translation (
          replaceStrings [ "\\\n" ] [ " " ] (wall.extraCommands or "")
        );
        "networking.firewall.extraInputRules" = wall.extraInputRules or "";
        "networking.nftables.ruleset" = nftables.ruleset or "";
        "networking.nftables.rulesetFile" = if (nftables.rulesetFile or null) == null then "" else "set";
        "networking.nftables.tables" = filter (name: !elem name ours) (attrNames (nftables.tables or { }));
      };
    };

  hardening = [
    "CapabilityBoundingSet"
    "NoNewPrivileges"
    "PrivateDevices"
    "PrivateTmp"
    "ProtectHome"
    "ProtectKernelModules"
    "ProtectSystem"
    "RestrictNamespaces"
    "SystemCallFilter"
  ];
  service =
    one:
    let
      said = one.serviceConfig or { };
      start = said.ExecStart or null;
      # What takes back the command before it changes a unit that a package brings: systemd.service(5).
      changes = isList start && start != [ ] && head start == "";
      whole = (said ? ExecStart && !changes) || (one.script or "") != "";
    in
    {
      unit = if !(one.enable or true) then "off" else if whole then "whole" else "part";
      type = said.Type or "simple";
      user = said.User or "";
      dynamic = said.DynamicUser or false;
      hardening = only hardening said;
    };

  password =
    one:
    let
      stored = filter (it: it != null) [
        (one.password or null)
        (one.initialPassword or null)
      ];
      hashed = filter (it: it != null) [
        (one.hashedPassword or null)
        (one.initialHashedPassword or null)
      ];
      usable = filter (it: match "[!*].*" it == null) hashed;
    in
    if elem "" (stored ++ hashed) then
      "empty"
    else if stored != [ ] then
      "stored"
    else if usable != [ ] || is (one.hashedPasswordFile or null) || is (one.passwordFile or null) then
      "set"
    else
      "none";
  account = one: {
    person = one.isNormalUser or false;
    password = password one;
    groups = [ (one.group or "") ] ++ (one.extraGroups or [ ]);
    keys = length (
      (one.openssh or { }).authorizedKeys.keys or [ ]
      ++ (one.openssh or { }).authorizedKeys.keyFiles or [ ]
    );
  };
  users = config.users or { };

  sshd = services.openssh or { };
  sshdSettings = sshd.settings or { };
  # What NixOS itself writes there: where sshd listens, and which files it reads.
  sshdsOwn =
    "[[:space:]]*(AddressFamily|AuthorizedKeys[A-Za-z]*|Banner|HostKey|ListenAddress|Port|Subsystem"
    + "|XAuthLocation)[[:space:]].*";
  ssh = {
    enable = sshd.enable or false;
    passwords = sshdSettings.PasswordAuthentication or sshd.passwordAuthentication or null;
    keyboard = sshdSettings.KbdInteractiveAuthentication or sshd.kbdInteractiveAuthentication or null;
    root = sshdSettings.PermitRootLogin or sshd.permitRootLogin or null;
    empty = sshdSettings.PermitEmptyPasswords or null;
    own = unlike sshdsOwn (sshd.extraConfig or "");
  };

  words = one: if isString one then [ one ] else one.options or [ ];
  # As sudoers(5) has them: a group after a percent sign, a number after a hash.
  id = one: if isInt one then "#${toString one}" else one;
  who = rule: map id (rule.users or [ ]) ++ map (one: "%${id one}") (rule.groups or [ ]);
  sudoer = rule: {
    who = who rule;
    free = elem "NOPASSWD" (concatMap words (rule.commands or [ ]));
    all = elem "ALL" (map (one: if isString one then one else one.command or "") (rule.commands or [ ]));
  };
  # Of sudoers(5), what is no setting, and the setting by which no password is asked for.
  asks = line: match "[[:space:]]*Defaults.*" line == null || match ".*authenticate.*" line != null;
  sudos =
    name: one:
    {
      inherit name;
      enable = one.enable or false;
      wheel_asks = one.wheelNeedsPassword or null;
      rules = map sudoer (one.extraRules or [ ]);
      own = filter asks (lines (one.extraConfig or ""));
    };
  doas =
    let
      one = security.doas or { };
    in
    {
      name = "doas";
      enable = one.enable or false;
      wheel_asks = one.wheelNeedsPassword or null;
      rules = map (rule: {
        who = who rule;
        free = rule.noPass or false;
        all = (rule.cmd or null) == null;
      }) (one.extraRules or [ ]);
      own = lines (one.extraConfig or "");
    };

  wrapper = one: {
    enable = one.enable or true;
    owner = one.owner or "";
    setuid = one.setuid or false;
    setgid = one.setgid or false;
    capabilities = one.capabilities or "";
  };

  settings = nix.settings or { };
  # nix.conf(5): what begins with `extra-` is added; a text is words.
  listed = said: if isString said then filter (one: isString one && one != "") (split "[[:space:]]+" said) else said;
  added = name: listed (settings."extra-${name}" or [ ]);
  # Of lines in nix.conf's own language, those that say what is read here, or read more.
  ofStore =
    line:
    match "[[:space:]]*(!?include[[:space:]]|(extra-)?(trusted-users|trusted-public-keys|sandbox|require-sigs)[[:space:]]*=).*" line
    != null;
  store = {
    trusted = listed (settings.trusted-users or nix.trustedUsers or [ ]) ++ added "trusted-users";
    sandbox = settings.sandbox or nix.useSandbox or null;
    signatures = settings.require-sigs or nix.requireSignedBinaryCaches or null;
    keys =
      listed (settings.trusted-public-keys or nix.binaryCachePublicKeys or [ ]) ++ added "trusted-public-keys";
    own = filter ofStore (lines (nix.extraOptions or ""));
    insecure = (config.nixpkgs or { }).config.permittedInsecurePackages or [ ];
  };

  display = services.displayManager.autoLogin or services.xserver.displayManager.autoLogin or { };
  login = {
    console = services.getty.autologinUser or null;
    display = if display.enable or false then display.user or "somebody" else null;
    emergency = (boot.initrd or { }).systemd.emergencyAccess or false;
  };

  kernel = {
    params = boot.kernelParams or [ ];
    sysctl = only [
      "fs.protected_hardlinks"
      "fs.protected_symlinks"
      "kernel.kptr_restrict"
      "kernel.perf_event_paranoid"
      "kernel.randomize_va_space"
      "kernel.unprivileged_bpf_disabled"
      "kernel.yama.ptrace_scope"
    ] ((boot.kernel or { }).sysctl or { });
    locks_modules = security.lockKernelModules or null;
    protects_image = security.protectKernelImage or null;
    confines = (security.apparmor or { }).enable or null;
  };

  container = one: {
    ports = one.ports or [ ];
    privileged = (one.privileged or false) || elem "--privileged" (one.extraOptions or [ ]);
  };
  oci = (config.virtualisation or { }).oci-containers or { };
in
{
  firewall = part firewall;
  services = part (each service ((config.systemd or { }).services or { }));
  accounts = part (each account (users.users or { }));
  groups = part (mapAttrs (_: one: one.members or [ ]) (users.groups or { }));
  ssh = part ssh;
  sudo = part [
    (sudos "sudo" (security.sudo or { }))
    (sudos "sudo-rs" (security.sudo-rs or { }))
    doas
  ];
  wrappers = part (each wrapper (security.wrappers or { }));
  store = part store;
  login = part login;
  kernel = part kernel;
  containers = part (each container (oci.containers or { }));
}
