//! Pods of a StatefulSet and nodes of a cluster, by their variables alone: who is the primary, handing its place over, telling
//! Kubernetes, making a cluster. Each pod is a process here.

use crate::support::process::{eventually, kill, run};
use crate::support::server::{BINARY, free_port};
use crate::support::{Connection, Server};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

/// A certificate for this machine's names that all pods serve with, and the authority that vouches for it.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Those a server makes for itself.
    fn new() -> Certificates {
        let server = Server::start();
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(server.ca().parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Certificates { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A container that can be stopped and started again with its data.
struct Pod {
    port: u16,
    data: TempDir,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    ca: PathBuf,
}

impl Pod {
    fn new(port: u16, certificates: &Certificates, more: &[(&str, &str)]) -> Pod {
        let data = tempfile::tempdir().unwrap();
        let text = |path: &Path| path.display().to_string();
        let mut environment: Vec<(String, String)> = [
            ("VALKEY_PASSWORD", "pw".to_owned()),
            ("VALKEY_DATA_DIR", text(data.path())),
            ("VALKEY_TLS_ENABLED", "yes".to_owned()),
            ("VALKEY_TLS_PORT_NUMBER", port.to_string()),
            ("VALKEY_TLS_AUTH_CLIENTS", "no".to_owned()),
            ("VALKEY_TLS_CERT_FILE", text(&certificates.file("server.crt"))),
            ("VALKEY_TLS_KEY_FILE", text(&certificates.file("server.key"))),
            ("VALKEY_TLS_CA_FILE", text(&certificates.file("ca.crt"))),
            ("VALKEY_ALLOW_REMOTE_CONNECTIONS", "no".to_owned()),
            ("VALKEY_IO_THREADS", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Pod { port, data, environment, child: None, ca: certificates.file("ca.crt") }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.env_clear().envs(self.environment.iter().map(|(n, v)| (n, v))).arg("container").args(words);
        command
    }

    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.data.path().join("log")).unwrap();
        let mut command = self.command(&["--repl-diskless-sync-delay", "0"]);
        self.child = Some(command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn().unwrap());
    }

    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        kill(child.id(), "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    /// The reply to a command; empty where nobody answers.
    fn ask(&self, line: &str) -> String {
        let Ok(mut c) = Connection::tls(self.port, &self.ca) else { return String::new() };
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = c.command(&[b"AUTH", b"pw"]).and_then(|_| c.command(&words));
        reply.map(|v| v.to_string()).unwrap_or_default()
    }

    #[track_caller]
    fn until(&self, line: &str, part: &str) {
        let mut last = String::new();
        let what = format!("port {}: {line} has {part}", self.port);
        eventually(&what, LONG, || {
            last = self.ask(line);
            last.contains(part)
        });
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the log of the pod at {}\n{}", self.port, self.log());
        }
    }
}

#[test]
fn a_primary_that_is_stopped_hands_over_and_comes_back_as_a_replica() {
    let certificates = Certificates::new();
    let ports = [free_port(), free_port(), free_port()];
    let peers = ports.map(|p| format!("localhost:{p}")).join(",");
    let file = certificates.file("primary");
    let mut pods: Vec<Pod> = (0..3)
        .map(|n| {
            let (name, port) = (format!("h-{n}"), ports[n].to_string());
            let more = [
                ("VALKEY_REPLICATION_MODE", "statefulset"),
                ("HOLDFAST_POD_NAME", &name),
                ("HOLDFAST_PEERS", &peers),
                ("HOLDFAST_PRIMARY_FILE", file.to_str().unwrap()),
                ("VALKEY_REPLICA_IP", "localhost"),
                ("VALKEY_REPLICA_PORT", &port),
            ];
            Pod::new(ports[n], &certificates, &more)
        })
        .collect();
    pods.iter_mut().for_each(Pod::start);
    for up in ["slave0:ip=localhost", "slave1:ip=localhost"] {
        pods[0].until("INFO replication", up);
    }
    eventually("both replicas are up", LONG, || pods[0].ask("INFO replication").matches("state=online").count() == 2);
    assert_eq!(pods[0].ask("SET k v"), "+OK");

    // As the hook before the pod is stopped.
    let out = run(&mut pods[0].command(&["step-down"]), b"", LONG);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("is the primary now; 1 other replicas follow it"), "{said}{out:?}");
    let next = (1..3).find(|n| said.contains(&format!("localhost:{} is", ports[*n]))).unwrap();
    let again = run(&mut pods[0].command(&["step-down"]), b"", LONG);
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing to hand over"), "{again:?}");
    pods[0].stop();
    assert_eq!(pods[next].ask("SET k after"), "+OK");
    pods[3 - next].until("GET k", "after");

    // It asks the others, although its number is 0.
    pods[0].start();
    pods[0].until("GET k", "after");
    assert!(pods[0].ask("ROLE").contains("slave"), "{}", pods[0].log());
    pods[next].until("INFO replication", "connected_slaves:2");

    // All start at once, and nobody is there to be asked: what was written down counts.
    pods.iter_mut().for_each(Pod::stop);
    std::fs::write(&file, format!("h-{next}\n")).unwrap();
    pods.iter_mut().for_each(Pod::start);
    pods[next].until("INFO replication", "connected_slaves:2");
    assert!(pods[next].ask("ROLE").contains("master"), "{}", pods[next].log());
    pods[0].until("GET k", "after");
}

#[test]
fn the_creator_makes_a_cluster_of_the_nodes_it_is_told() {
    let certificates = Certificates::new();
    // The bus is 10000 above, so not every free port will do.
    let base = || loop {
        let port = free_port();
        if port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    };
    let ports: Vec<u16> = (0..6).map(|_| base()).collect();
    let nodes = ports.iter().map(|p| format!("127.0.0.1:{p}")).collect::<Vec<_>>().join(" ");
    let mut pods: Vec<Pod> = ports
        .iter()
        .enumerate()
        .map(|(n, port)| {
            let creator = if n == 0 { "yes" } else { "no" };
            Pod::new(*port, &certificates, &[("VALKEY_NODES", &nodes), ("VALKEY_CLUSTER_CREATOR", creator)])
        })
        .collect();
    pods.iter_mut().for_each(Pod::start);
    for pod in &pods {
        pod.until("CLUSTER INFO", "cluster_state:ok");
        pod.until("CLUSTER INFO", "cluster_slots_assigned:16384");
        pod.until("CLUSTER INFO", "cluster_known_nodes:6");
    }
    eventually("the creator says so", LONG, || pods[0].log().contains("6 nodes are a cluster of 3 primaries"));
    for pod in &pods[3..] {
        pod.until("ROLE", "connected");
    }
    assert!(pods[0].ask("CLUSTER NODES").matches("slave").count() == 3);
    // A creator that starts again leaves it alone.
    pods[0].stop();
    pods[0].start();
    eventually("it is told that there is one", LONG, || pods[0].log().contains("has a cluster already"));
}

/// Kubernetes' API as the sidecar sees it: takes patches and keeps them.
fn kubernetes(certificates: &Certificates) -> (u16, Arc<Mutex<Vec<String>>>) {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificates.file("server.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::default_fips_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (config, kept) = (Arc::new(config), Arc::clone(&seen));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, socket);
            let mut request = String::new();
            let mut buffer = [0; 4096];
            // A patch ends with its object.
            while !request.ends_with('}') {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => request.push_str(&String::from_utf8_lossy(&buffer[..n])),
                    _ => break,
                }
            }
            let first = kept.lock().unwrap().is_empty();
            kept.lock().unwrap().push(request);
            // The first one fails, as while a control plane is upgraded.
            let status = if first { "503 Service Unavailable" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, seen)
}

#[test]
fn the_sidecar_keeps_the_label_true_and_writes_the_primary_down() {
    let certificates = Certificates::new();
    let (api, seen) = kubernetes(&certificates);
    let account = tempfile::tempdir().unwrap();
    for (name, text) in [("token", "a token\n"), ("namespace", "space\n")] {
        std::fs::write(account.path().join(name), text).unwrap();
    }
    std::fs::copy(certificates.file("ca.crt"), account.path().join("ca.crt")).unwrap();
    let (port, http) = (free_port(), free_port().to_string());
    let api = api.to_string();
    let more = [
        ("HOLDFAST_HTTP_PORT", http.as_str()),
        ("HOLDFAST_HTTP_BIND", "127.0.0.1"),
        ("HOLDFAST_POD_NAME", "h-1"),
        ("HOLDFAST_PRIMARY_CONFIGMAP", "h-primary"),
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", &api),
    ];
    let mut pod = Pod::new(port, &certificates, &more);
    pod.start();
    let mut command = pod.command(&["label", account.path().to_str().unwrap()]);
    let mut sidecar = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has = |what: &str, path: &str, body: &str| {
        eventually(what, LONG, || {
            let seen = seen.lock().unwrap();
            seen.last().is_some_and(|r| r.contains(&format!("PATCH {path} HTTP/1.1\r\n")) && r.ends_with(body))
        });
    };
    let of_pod = "/api/v1/namespaces/space/pods/h-1";
    let label = |role: &str| format!(r#"{{"metadata":{{"labels":{{"app.kubernetes.io/component":"{role}"}}}}}}"#);
    has("it is labelled primary", of_pod, &label("primary"));
    {
        let seen = seen.lock().unwrap();
        let map = "PATCH /api/v1/namespaces/space/configmaps/h-primary HTTP/1.1\r\n";
        // The one that failed, and again.
        assert!(seen[0].contains(map) && seen[1].contains(map), "{seen:?}");
        assert!(seen[1].ends_with(r#"{"data":{"pod":"h-1"}}"#), "{seen:?}");
        assert!(seen.iter().all(|r| r.contains("Authorization: Bearer a token\r\n")), "{seen:?}");
        assert!(seen.iter().all(|r| r.contains("Content-Type: application/merge-patch+json\r\n")), "{seen:?}");
    }
    assert_eq!(pod.ask("REPLICAOF 127.0.0.1 1"), "+OK");
    has("it is labelled replica", of_pod, &label("replica"));
    assert_eq!(pod.ask("REPLICAOF NO ONE"), "+OK");
    has("it is labelled primary again", of_pod, &label("primary"));
    let _ = sidecar.kill();
    let _ = sidecar.wait();
}
