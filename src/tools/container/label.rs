//! `holdfast container label`: beside the server of a pod, keeps the pod's label true to its role, so that a Service can select
//! the primary, and writes down which pod that is, for pods that start while no other runs.
//!
//! The server itself knows nothing of Kubernetes: this process reads `/primary` as any load balancer does, and is the only one
//! that holds a token. What it may do with it is two patches: of its own StatefulSet's pods and of one ConfigMap.

use super::https::{self, Answer, Host};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who replaced the label by hand gets it back after this.
const SAY_AGAIN_EVERY: u32 = 60;
const LABEL: &str = "app.kubernetes.io/component";

/// Where everything is.
#[derive(Debug)]
pub struct Labels {
    pub pod: String,
    /// Where the name of the primary's pod is written down.
    pub config_map: Option<String>,
    /// The server's HTTP endpoint.
    pub probe: Host,
    pub api: Host,
    /// Folder with `token` and `namespace`.
    pub account: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    Replica,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
        }
    }

    /// What `/primary` answers. A server that loads or ends is neither: its label stays as it is.
    fn of(answer: &Answer) -> Option<Role> {
        match (answer.status, answer.body.trim()) {
            (200, _) => Some(Role::Primary),
            (503, "replica") => Some(Role::Replica),
            _ => None,
        }
    }
}

impl Labels {
    /// Goes on until the container is stopped.
    ///
    /// # Errors
    /// There can be no runtime.
    pub fn run(&self) -> Result<String, String> {
        // Who is process 1 of a container does not hear a signal that it has not asked for.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let stop = async {
            match signal(SignalKind::terminate()) {
                Ok(mut asked) => drop(asked.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = stop => Ok("stopped".to_owned()),
                () = self.look() => Ok(String::new()),
            }
        })
    }

    async fn look(&self) {
        let (mut said, mut age, mut complained) = (None, 0, String::new());
        loop {
            let looked = https::ask(&self.probe, "GET", "/primary", &[], "").map(|a| Role::of(&a));
            let done = match looked {
                Ok(Some(role)) if said != Some(role) || age >= SAY_AGAIN_EVERY => self.say(role).map(|()| {
                    if said != Some(role) {
                        println!("{} is labelled {}", self.pod, role.name());
                    }
                    (said, age) = (Some(role), 0);
                }),
                // A server that does not answer is the probes' affair.
                Ok(_) | Err(_) => Ok(()),
            };
            let complaint = done.err().unwrap_or_default();
            if complaint != complained {
                if !complaint.is_empty() {
                    eprintln!("holdfast: the role of {} cannot be told to Kubernetes: {complaint}", self.pod);
                }
                complained = complaint;
            }
            age += 1;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tells Kubernetes. The label is last: who sees it finds the rest done.
    fn say(&self, role: Role) -> Result<(), String> {
        let read = |name: &str| {
            let path = self.account.join(name);
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
        };
        // Both are read each time: a token is replaced long before it ends.
        let (token, namespace) = (read("token")?, read("namespace")?);
        let patch = |kind: &str, name: &str, body: serde_json::Value| {
            let path = format!("/api/v1/namespaces/{}/{kind}/{name}", namespace.trim());
            let headers = [
                ("Authorization", format!("Bearer {}", token.trim())),
                ("Content-Type", "application/merge-patch+json".to_owned()),
            ];
            let answer = https::ask(&self.api, "PATCH", &path, &headers, &body.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(format!("{kind} {name}: status {}", answer.status)) }
        };
        if let (Role::Primary, Some(map)) = (role, &self.config_map) {
            patch("configmaps", map, serde_json::json!({"data": {"pod": self.pod}}))?;
        }
        patch("pods", &self.pod, serde_json::json!({"metadata": {"labels": {LABEL: role.name()}}}))
    }
}

/// Where Kubernetes puts what a pod needs to speak to it.
pub const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// From the container's variables, read by `get`.
///
/// # Errors
/// What is missing.
pub fn of(get: &dyn Fn(&str) -> Option<String>, account: &Path) -> Result<Labels, String> {
    let need = |name: &str| get(name).filter(|v| !v.is_empty()).ok_or_else(|| format!("{name} is not set"));
    let number = |name: &str| need(name)?.parse::<u16>().map_err(|_| format!("{name} is not a port"));
    let name = get("HOLDFAST_HTTP_NAME").filter(|v| !v.is_empty()).unwrap_or_else(|| "localhost".into());
    Ok(Labels {
        pod: need("HOLDFAST_POD_NAME")?,
        config_map: get("HOLDFAST_PRIMARY_CONFIGMAP").filter(|v| !v.is_empty()),
        probe: Host {
            address: "127.0.0.1".into(),
            port: number("HOLDFAST_HTTP_PORT")?,
            name,
            authority: need("VALKEY_TLS_CA_FILE")?.into(),
        },
        api: {
            let address = need("KUBERNETES_SERVICE_HOST")?;
            let port = number("KUBERNETES_SERVICE_PORT")?;
            Host { name: address.clone(), address, port, authority: account.join("ca.crt") }
        },
        account: account.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_what_the_probe_says_and_nothing_while_it_loads() {
        let role = |status, body: &str| Role::of(&Answer { status, body: body.into() });
        assert_eq!(role(200, "primary\n"), Some(Role::Primary));
        assert_eq!(role(503, "replica\n"), Some(Role::Replica));
        assert_eq!((role(503, "loading\n"), role(503, "ending\n"), role(404, "")), (None, None, None));
    }

    #[test]
    fn a_variable_that_is_missing_is_named() {
        let e = of(&|_| None, Path::new("/x")).unwrap_err();
        assert_eq!(e, "HOLDFAST_POD_NAME is not set");
        let all = |name: &str| Some(if name.ends_with("PORT") { "9" } else { "x" }.to_owned());
        let labels = of(&all, Path::new("/x")).unwrap();
        assert_eq!((labels.probe.name.as_str(), labels.api.authority.as_path()), ("x", Path::new("/x/ca.crt")));
    }
}
