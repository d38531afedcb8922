use super::super::pods::Role;
use super::*;
use std::collections::HashMap;
use std::io;

/// Files by path, the environment as `NAME=value` lines, and what other servers say.
struct Case {
    files: HashMap<&'static str, &'static str>,
    says: Vec<Option<Role>>,
}

impl Others for Case {
    fn roles(&self, peers: &[Peer], _: &Access) -> Vec<Option<Role>> {
        peers.iter().enumerate().map(|(n, _)| self.says.get(n).cloned().flatten()).collect()
    }

    fn primary_of(&self, sentinel: &Peer, name: &str, access: &Access) -> Result<Peer, String> {
        let known = name == "known" && sentinel.port == 26379 && access.password.as_deref() == Some("s");
        if known { Ok(Peer { host: "10.0.0.9".into(), port: 7 }) } else { Err("it knows no such name".into()) }
    }
}

impl Case {
    fn new(files: &[(&'static str, &'static str)]) -> Case {
        Case { files: files.iter().copied().collect(), says: Vec::new() }
    }

    fn derive(&self, environment: &str, arguments: &str) -> Result<Derived, String> {
        let read = |path: &Path| {
            let text = path.to_str().and_then(|p| self.files.get(p));
            text.map(|t| t.as_bytes().to_vec()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        let exists = |path: &Path| path.to_str().is_some_and(|p| self.files.contains_key(p));
        let environment = environment.lines().filter_map(|l| l.trim().split_once('='));
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        derive(
            environment.map(|(k, v)| (k.to_owned(), v.to_owned())),
            &arguments,
            &World { read: &read, exists: &exists, others: self },
        )
    }

    /// The server's words, joined; empty ones shown as `""`.
    #[track_caller]
    fn words(&self, environment: &str, arguments: &str) -> String {
        match self.derive(environment, arguments).unwrap().start {
            Start::Server { words, .. } => {
                words.iter().map(|w| if w.is_empty() { "\"\"" } else { w }).collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn notices(&self, environment: &str) -> String {
        self.derive(environment, "").unwrap().notices.join("\n")
    }
}

fn plain() -> Case {
    Case::new(&[])
}

#[track_caller]
fn has(words: &str, part: &str) {
    assert!(format!(" {words} ").contains(&format!(" {part} ")), "'{part}' is not in: {words}");
}

#[track_caller]
fn lacks(words: &str, part: &str) {
    assert!(!words.contains(part), "'{part}' is in: {words}");
}

#[test]
fn without_a_password_nothing_starts_unless_that_is_allowed() {
    let e = plain().derive("", "").unwrap_err();
    assert!(e.contains("VALKEY_PASSWORD") && e.contains("ALLOW_EMPTY_PASSWORD=yes"), "{e}");
    assert!(plain().derive("ALLOW_EMPTY_PASSWORD=no", "").is_err());
    let words = plain().words("ALLOW_EMPTY_PASSWORD=yes", "");
    has(&words, "--protected-mode no");
    has(&words, "--tls-port 6379");
    has(&words, "--dir /bitnami/valkey/data");
    lacks(&words, "--port ");
    assert!(plain().notices("ALLOW_EMPTY_PASSWORD=yes").contains("for development only"));
    for elsewhere in ["--requirepass x", "--aclfile /users.acl", "--protected-mode yes", "valkey-server --user default"]
    {
        plain().words("", elsewhere);
    }
}

#[test]
fn a_password_comes_by_value_or_by_file_and_never_stands_in_a_message() {
    has(&plain().words("VALKEY_PASSWORD=a b", ""), "--requirepass a b");
    let case = Case::new(&[("/run/secrets/p", "from file\r\n")]);
    has(&case.words("VALKEY_PASSWORD_FILE=/run/secrets/p", ""), "--requirepass from file");
    let e = plain().derive("VALKEY_PASSWORD_FILE=/absent", "").unwrap_err();
    assert!(e.starts_with("VALKEY_PASSWORD_FILE: '/absent' cannot be read"), "{e}");
    assert!(plain().derive("VALKEY_PASSWORD_FILE=/absent\nVALKEY_PASSWORD=x", "").is_ok(), "the value wins");
    lacks(&plain().notices("VALKEY_PASSWORD=hush\nVALKEY_PASSWORT=hush"), "hush");
}

#[test]
fn a_user_of_another_name_gets_the_password_as_a_digest() {
    let words = plain().words("VALKEY_PASSWORD=secret\nVALKEY_ACL_USERNAME=app", "");
    has(&words, "--user default off");
    has(&words, "--user app on ~* &* +@all #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
    lacks(&words, "secret");
    has(&plain().words("VALKEY_PASSWORD=secret\nVALKEY_ACL_USERNAME=default", ""), "--requirepass secret");
}

#[test]
fn ports_are_tls_unless_plaintext_is_asked_for() {
    let base = "VALKEY_PASSWORD=p\n";
    let words = |more: &str| plain().words(&format!("{base}{more}"), "");
    has(&words("VALKEY_PORT_NUMBER=7000"), "--tls-port 7000");
    has(&words("VALKEY_TLS_ENABLED=yes\nVALKEY_TLS_PORT_NUMBER=7001\nVALKEY_PORT_NUMBER=7000"), "--tls-port 7001");
    has(&words("VALKEY_TLS_ENABLED=yes\nVALKEY_TLS_PORT=7001"), "--tls-port 7001");
    lacks(&words("VALKEY_TLS_ENABLED=no"), "--port");
    assert!(plain().notices(&format!("{base}VALKEY_TLS_ENABLED=no")).contains("HOLDFAST_ALLOW_PLAINTEXT=yes"));
    let both = "VALKEY_TLS_ENABLED=yes\nVALKEY_TLS_PORT_NUMBER=7001\nVALKEY_PORT_NUMBER=7000";
    assert!(plain().notices(&format!("{base}{both}")).contains("VALKEY_PORT_NUMBER=7000: plaintext is not opened"));
    let open = words("HOLDFAST_ALLOW_PLAINTEXT=yes");
    has(&open, "--tls-port 0 --port 6379");
    has(&open, "--allow-plaintext yes");
    has(&words(&format!("HOLDFAST_ALLOW_PLAINTEXT=local\n{both}")), "--tls-port 7001 --port 7000");
    has(&words("HOLDFAST_ALLOW_PLAINTEXT=yes\nVALKEY_TLS_ENABLED=yes"), "--tls-port 6379 --port 0");
}

#[test]
fn tls_variables_become_directives() {
    let words = plain().words(
        "VALKEY_PASSWORD=p\nVALKEY_TLS_ENABLED=yes\nVALKEY_TLS_CERT_FILE=/c\nVALKEY_TLS_KEY_FILE=/k\n\
         VALKEY_TLS_CA_FILE=/ca\nVALKEY_TLS_CA_DIR=/cas\nVALKEY_TLS_KEY_FILE_PASS=q",
        "",
    );
    for part in [
        "--tls-cert-file /c",
        "--tls-key-file /k",
        "--tls-ca-cert-file /ca",
        "--tls-ca-cert-dir /cas",
        "--tls-key-file-pass q",
        "--tls-auth-clients yes",
    ] {
        has(&words, part);
    }
    has(&plain().words("VALKEY_PASSWORD=p\nVALKEY_TLS_AUTH_CLIENTS=no", ""), "--tls-auth-clients no");
    lacks(&plain().words("VALKEY_PASSWORD=p", ""), "--tls-auth-clients");
    let told = plain().notices("VALKEY_PASSWORD=p\nOPENSSL_FIPS=1\nOPENSSL_CONF=/x\nVALKEY_TLS_DH_PARAMS_FILE=/dh");
    assert!(told.contains("OPENSSL_FIPS") && told.contains("OPENSSL_CONF") && told.contains("DH_PARAMS"), "{told}");
    // The path is the value here, not the name of a file that holds it.
    assert!(plain().derive("VALKEY_PASSWORD=p\nVALKEY_TLS_CERT_FILE=/absent\nVALKEY_TLS_KEY_FILE=/absent", "").is_ok());
}

#[test]
fn persistence_variables_become_directives() {
    let words = |more: &str| plain().words(&format!("VALKEY_PASSWORD=p\n{more}"), "");
    has(&words("VALKEY_RDB_POLICY=900#1 600#5"), "--save 900 1 600 5");
    has(&words("VALKEY_RDB_POLICY=900#1\nVALKEY_RDB_POLICY_DISABLED=yes"), "--save \"\"");
    lacks(&words(""), "--save");
    has(&words("VALKEY_AOF_ENABLED=yes"), "--appendonly yes");
    has(&words("VALKEY_AOF_ENABLED=no"), "--appendonly no");
    let e = plain().derive("VALKEY_PASSWORD=p\nVALKEY_RDB_POLICY=900:1", "").unwrap_err();
    assert!(e.contains("900:1") && e.contains("900#1"), "{e}");
}

#[test]
fn replication_variables_become_directives() {
    let words = |more: &str| plain().words(&format!("VALKEY_PASSWORD=p\n{more}"), "");
    has(&words("VALKEY_REPLICATION_MODE=primary"), "--primaryauth p");
    has(&words("VALKEY_REPLICATION_MODE=master"), "--primaryauth p");
    let replica = words("VALKEY_REPLICATION_MODE=replica\nVALKEY_PRIMARY_HOST=one\nVALKEY_PRIMARY_PASSWORD=q");
    has(&replica, "--replicaof one 6379 --primaryauth q --tls-replication yes");
    let old = words(
        "VALKEY_REPLICATION_MODE=slave\nVALKEY_MASTER_HOST=one\nVALKEY_MASTER_PORT_NUMBER=7\nVALKEY_MASTER_PASSWORD=q",
    );
    has(&old, "--replicaof one 7 --primaryauth q");
    has(
        &words("VALKEY_REPLICA_IP=10.0.0.1\nVALKEY_REPLICA_PORT=9"),
        "--replica-announce-ip 10.0.0.1 --replica-announce-port 9",
    );
    for (bad, says) in [
        ("VALKEY_REPLICATION_MODE=replica", "VALKEY_PRIMARY_HOST"),
        ("VALKEY_REPLICATION_MODE=both", "none of primary, replica"),
        ("VALKEY_REPLICATION_MODE=replica\nVALKEY_PRIMARY_HOST=one\nVALKEY_PRIMARY_PORT_NUMBER=x", "'x' is not a port"),
    ] {
        let e = plain().derive(&format!("VALKEY_PASSWORD=p\n{bad}"), "").unwrap_err();
        assert!(e.contains(says), "{e}");
    }
}

#[test]
fn a_pod_of_a_stateful_set_is_primary_or_replica_by_its_number() {
    let words = |pod: &str| {
        let environment = format!(
            "VALKEY_PASSWORD=p\nVALKEY_REPLICATION_MODE=statefulset\nVALKEY_PRIMARY_HOST=h-0.h-headless\nHOLDFAST_POD_NAME={pod}"
        );
        plain().derive(&environment, "").map(|d| format!("{:?}", d.start))
    };
    assert!(!words("h-0").unwrap().contains("replicaof"));
    assert!(words("h-12").unwrap().contains("\"--replicaof\", \"h-0.h-headless\", \"6379\""));
    assert!(words("h").is_err() && words("h-x").is_err());
}

#[test]
fn pods_that_know_their_peers_follow_whoever_is_the_primary() {
    let words = |says: &[Option<Role>], recorded: Option<&'static str>| {
        let mut case = Case::new(recorded.map(|pod| ("/primary", pod)).as_slice());
        case.says = says.to_vec();
        let environment = "VALKEY_PASSWORD=p\nVALKEY_REPLICATION_MODE=statefulset\nHOLDFAST_PEERS=h-0.hl,h-1.hl,h-2.hl\n\
                           HOLDFAST_PRIMARY_FILE=/primary\nHOLDFAST_POD_NAME=h-0";
        case.words(environment, "")
    };
    // The first start of all: pod 0 is the primary, ready to follow one day.
    let first = words(&[], None);
    lacks(&first, "--replicaof");
    has(&first, "--primaryauth p --tls-replication yes");
    has(&words(&[None, Some(Role::Primary)], None), "--replicaof h-2.hl 6379 --primaryauth p --tls-replication yes");
    has(&words(&[], Some("h-1\n")), "--replicaof h-1.hl 6379");
    lacks(&words(&[], Some("h-9")), "--replicaof");
}

#[test]
fn a_sentinel_is_asked_for_the_primary() {
    let base =
        "VALKEY_PASSWORD=p\nVALKEY_REPLICATION_MODE=replica\nVALKEY_SENTINEL_HOST=s\nVALKEY_SENTINEL_PASSWORD=s\n";
    let known = format!("{base}VALKEY_SENTINEL_PRIMARY_NAME=known");
    has(&plain().words(&known, ""), "--replicaof 10.0.0.9 7 --primaryauth p");
    assert!(plain().notices(&known).contains("10.0.0.9:7 is the primary of 'known'"));
    let e = plain().derive(base, "").unwrap_err();
    assert_eq!(e, "VALKEY_SENTINEL_HOST: s:26379: it knows no such name");
}

#[test]
fn the_variables_of_the_cluster_image_make_a_node_and_its_creator_a_plan() {
    let nodes = "VALKEY_PASSWORD=p\nVALKEY_NODES=a,b c:7 d e f\nVALKEY_CLUSTER_ANNOUNCE_IP=10.0.0.1\n\
                 VALKEY_CLUSTER_ANNOUNCE_PORT=1\nVALKEY_CLUSTER_ANNOUNCE_BUS_PORT=2\nVALKEY_CLUSTER_ANNOUNCE_HOSTNAME=a.b\n\
                 VALKEY_CLUSTER_PREFERRED_ENDPOINT_TYPE=hostname";
    let words = plain().words(nodes, "");
    for part in [
        "--cluster-enabled yes",
        "--cluster-announce-ip 10.0.0.1",
        "--cluster-announce-tls-port 1",
        "--cluster-announce-bus-port 2",
        "--cluster-announce-hostname a.b",
        "--cluster-preferred-endpoint-type hostname",
        "--primaryauth p",
        "--tls-replication yes",
    ] {
        has(&words, part);
    }
    let plan = |more: &str| plain().derive(&format!("{nodes}\n{more}"), "").map(|d| d.create);
    assert_eq!(plan("VALKEY_CLUSTER_CREATOR=no"), Ok(None));
    let made = plan("VALKEY_CLUSTER_CREATOR=yes").unwrap().unwrap();
    assert_eq!((made.nodes.len(), made.nodes[2].port, made.replicas), (6, 7, 1));
    assert!(plan("VALKEY_CLUSTER_CREATOR=yes\nVALKEY_CLUSTER_REPLICAS=2").unwrap_err().contains("9 nodes"));
    let alone = plain().derive("VALKEY_PASSWORD=p\nVALKEY_CLUSTER_CREATOR=yes", "").unwrap_err();
    assert!(alone.contains("VALKEY_NODES"), "{alone}");
}

#[test]
fn a_directive_comes_from_a_file_too() {
    let case = Case::new(&[("/s", "16\n")]);
    has(&case.words("VALKEY_PASSWORD=p\nHOLDFAST_HZ_FILE=/s", ""), "--hz 16");
    has(&case.words("VALKEY_PASSWORD=p\nHOLDFAST_TLS_CERT_FILE=/s", ""), "--tls-cert-file /s");
}

#[test]
fn other_variables_become_directives() {
    let words = plain().words(
        "VALKEY_PASSWORD=p\nVALKEY_IO_THREADS=3\nVALKEY_MAXCLIENTS=77\nVALKEY_DATABASES=4\nVALKEY_ACLFILE=/users\n\
         VALKEY_DISABLE_COMMANDS=FLUSHDB,FLUSHALL\nVALKEY_ALLOW_REMOTE_CONNECTIONS=no\nBITNAMI_DEBUG=true\n\
         VALKEY_DATA_DIR=/elsewhere\nHOLDFAST_HTTP_PORT=9121",
        "",
    );
    for part in [
        "--io-threads 3",
        "--maxclients 77",
        "--databases 4",
        "--aclfile /users",
        "--rename-command FLUSHDB \"\" --rename-command FLUSHALL \"\"",
        "--bind 127.0.0.1 -::1",
        "--loglevel debug",
        "--dir /elsewhere",
        "--http-port 9121",
    ] {
        has(&words, part);
    }
    assert!(plain().derive("VALKEY_PASSWORD=p\nBITNAMI_DEBUG=perhaps", "").is_err());
    let e = plain().derive("VALKEY_PASSWORD=p\nHOLDFAST_MAXMEMROY=1gb", "").unwrap_err();
    assert!(e.contains("HOLDFAST_MAXMEMROY") && e.contains("maxmemory"), "{e}");
}

#[test]
fn a_database_that_is_not_a_number_is_told_and_sixteen_are_used() {
    let told = plain().notices("VALKEY_PASSWORD=p\nVALKEY_DATABASE_NUM=appdb");
    assert!(told.contains("'appdb' is not a number") && told.contains("16 is used"), "{told}");
    lacks(&plain().words("VALKEY_PASSWORD=p\nVALKEY_DATABASE_NUM=appdb", ""), "--databases");
}

#[test]
fn a_variable_that_stands_twice_counts_as_it_stands_last() {
    let both = "VALKEY_PASSWORD=p\nVALKEY_MAXCLIENTS=1\nVALKEY_MAXCLIENTS=2";
    has(&plain().words(both, ""), "--maxclients 2");
    assert!(plain().notices(both).contains("VALKEY_MAXCLIENTS stands twice"));
}

#[test]
fn a_name_that_is_not_known_is_told_with_the_nearest_one() {
    let told = plain()
        .notices("VALKEY_PASSWORD=p\nVALKEY_MAX_CLIENTS=3\nVALKEY_VERSION=9\nPATH=/bin\nVALKEY_COLOUR_OF_THE_SEA=x");
    assert!(
        told.contains("VALKEY_MAX_CLIENTS is not a variable") && told.contains("VALKEY_MAXCLIENTS is the nearest"),
        "{told}"
    );
    assert!(
        told.contains("VALKEY_COLOUR_OF_THE_SEA") && !told.contains("VALKEY_VERSION") && !told.contains("PATH"),
        "{told}"
    );
}

#[test]
fn addresses_that_kubernetes_leaves_in_the_environment_are_no_variables() {
    let environment = "VALKEY_PASSWORD=p\nVALKEY_PORT=tcp://10.0.0.1:6379\nVALKEY_SERVICE_HOST=10.0.0.1\nVALKEY_SERVICE_PORT=6379\n\
                       VALKEY_SERVICE_PORT_TCP_REDIS=6379\nVALKEY_PORT_6379_TCP=tcp://10.0.0.1:6379\nVALKEY_PORT_6379_TCP_ADDR=10.0.0.1\n\
                       VALKEY_TLS_PORT=tcp://10.0.0.2:6379\nHOLDFAST_PORT=tcp://10.0.0.3:6379\nHOLDFAST_SERVICE_HOST=10.0.0.3";
    let told = plain().notices(environment);
    assert!(!told.contains("10.0.0") && !told.contains("is not a variable"), "{told}");
    let words = plain().words(environment, "");
    has(&words, "--tls-port 6379");
    lacks(&words, "tcp://");
}

#[test]
fn a_mounted_file_replaces_the_variables_and_overrides_and_command_line_come_last() {
    let case = Case::new(&[
        ("/opt/bitnami/valkey/mounted-etc/valkey.conf", "tls-port 7000\nrequirepass x\n"),
        ("/opt/bitnami/valkey/mounted-etc/overrides.conf", "maxclients 9\n"),
    ]);
    let environment = "VALKEY_MAXCLIENTS=5\nVALKEY_EXTRA_FLAGS=--hz 20 --loglevel 'verbose'";
    assert_eq!(
        case.words(environment, "--hz 30"),
        "/opt/bitnami/valkey/mounted-etc/valkey.conf --dir /bitnami/valkey/data --landlock try --seccomp try --include \
         /opt/bitnami/valkey/mounted-etc/overrides.conf --hz 20 --loglevel verbose --hz 30"
    );
    assert!(case.notices(environment).contains("not these variables: VALKEY_MAXCLIENTS"));
    let words = plain().words("VALKEY_PASSWORD=p\nVALKEY_MAXCLIENTS=5", "--maxclients 6");
    assert!(words.find("--maxclients 5").unwrap() < words.find("--maxclients 6").unwrap(), "{words}");
    assert!(plain().derive("VALKEY_PASSWORD=p\nVALKEY_OVERRIDES_FILE=/absent", "").is_err());
}

#[test]
fn a_file_that_sets_dir_or_limits_keeps_them() {
    let case = Case::new(&[("/etc/valkey/valkey.conf", "# dir /no\n  DIR /own\nlandlock no\nseccomp yes\n")]);
    let derived = case.derive("", "").unwrap();
    assert_eq!(derived.start, Start::Server { words: vec!["/etc/valkey/valkey.conf".into()], data: None });
}

#[test]
fn the_first_argument_chooses_as_in_the_official_image() {
    let case = Case::new(&[("/x.conf", "requirepass p\n")]);
    let server =
        |arguments: &str| matches!(case.derive("VALKEY_PASSWORD=p", arguments).unwrap().start, Start::Server { .. });
    for arguments in [
        "",
        "--save 60 1",
        "/x.conf",
        "/x.conf --hz 20",
        "valkey-server",
        "redis-server /x.conf",
        "/opt/bitnami/scripts/valkey/run.sh --hz 20",
        "/usr/local/bin/valkey-server --port 0",
    ] {
        assert!(server(arguments), "{arguments}");
    }
    let start = |arguments: &str| case.derive("", arguments).unwrap().start;
    assert_eq!(start("/usr/bin/valkey-cli ping"), Start::Tool { words: vec!["valkey-cli".into(), "ping".into()] });
    assert_eq!(start("sh -c true"), Start::Program { words: vec!["sh".into(), "-c".into(), "true".into()] });
}

#[test]
fn what_is_derived_is_a_configuration_the_server_takes() {
    let folder = tempfile::tempdir().unwrap();
    let environment = format!(
        "ALLOW_EMPTY_PASSWORD=yes\nVALKEY_DATA_DIR={}\nVALKEY_PORT_NUMBER=7000\nVALKEY_DISABLE_COMMANDS=KEYS\n\
         VALKEY_ALLOW_REMOTE_CONNECTIONS=no\nVALKEY_DATABASES=2\nHOLDFAST_HTTP_PORT=9121",
        folder.path().display()
    );
    let Start::Server { words, .. } = plain().derive(&environment, "--hz 20").unwrap().start else { panic!() };
    let words: Vec<std::ffi::OsString> = words.into_iter().map(Into::into).collect();
    let config = crate::config::load(&words).unwrap().config;
    assert_eq!((config.tls.port, config.network.port, config.general.hz), (7000, 0, 20));
    assert_eq!((config.general.databases, config.monitoring.port, config.network.bind.len()), (2, 9121, 2));
    assert_eq!(config.security.rename_command.len(), 1);
    assert!(!config.network.protected_mode);
}
