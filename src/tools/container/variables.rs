//! The environment variables an image of this server understands, and reading them.
//!
//! Invariants: a name stands here or its user is warned; each may come as `NAME_FILE`, the content of that file; a secret's
//! value never stands in a message.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Every variable, in the order of the documentation.
pub const KNOWN: &[&str] = &[
    "ALLOW_EMPTY_PASSWORD",
    "VALKEY_PASSWORD",
    "VALKEY_PRIMARY_PASSWORD",
    "VALKEY_MASTER_PASSWORD",
    "VALKEY_ACLFILE",
    "VALKEY_ACL_USERNAME",
    "VALKEY_DISABLE_COMMANDS",
    "VALKEY_DATA_DIR",
    "VALKEY_OVERRIDES_FILE",
    "VALKEY_PORT_NUMBER",
    "VALKEY_ALLOW_REMOTE_CONNECTIONS",
    "VALKEY_AOF_ENABLED",
    "VALKEY_RDB_POLICY",
    "VALKEY_RDB_POLICY_DISABLED",
    "VALKEY_REPLICATION_MODE",
    "VALKEY_PRIMARY_HOST",
    "VALKEY_PRIMARY_PORT_NUMBER",
    "VALKEY_MASTER_HOST",
    "VALKEY_MASTER_PORT_NUMBER",
    "VALKEY_REPLICA_IP",
    "VALKEY_REPLICA_PORT",
    "VALKEY_SENTINEL_HOST",
    "VALKEY_SENTINEL_PORT_NUMBER",
    "VALKEY_SENTINEL_PRIMARY_NAME",
    "VALKEY_SENTINEL_MASTER_NAME",
    "VALKEY_SENTINEL_PASSWORD",
    "VALKEY_IO_THREADS",
    "VALKEY_EXTRA_FLAGS",
    "VALKEY_DATABASES",
    "VALKEY_DATABASE_NUM",
    "VALKEY_MAXCLIENTS",
    "VALKEY_TLS_ENABLED",
    "VALKEY_TLS_PORT_NUMBER",
    "VALKEY_TLS_PORT",
    "VALKEY_TLS_CERT_FILE",
    "VALKEY_TLS_KEY_FILE",
    "VALKEY_TLS_KEY_FILE_PASS",
    "VALKEY_TLS_CA_FILE",
    "VALKEY_TLS_CA_DIR",
    "VALKEY_TLS_AUTH_CLIENTS",
    "VALKEY_TLS_DH_PARAMS_FILE",
    "VALKEY_NODES",
    "VALKEY_CLUSTER_CREATOR",
    "VALKEY_CLUSTER_REPLICAS",
    "VALKEY_CLUSTER_DYNAMIC_IPS",
    "VALKEY_CLUSTER_ANNOUNCE_IP",
    "VALKEY_CLUSTER_ANNOUNCE_PORT",
    "VALKEY_CLUSTER_ANNOUNCE_BUS_PORT",
    "VALKEY_CLUSTER_ANNOUNCE_HOSTNAME",
    "VALKEY_CLUSTER_PREFERRED_ENDPOINT_TYPE",
];

/// `HOLDFAST_` names that are no directive of the configuration.
const OWN: &[&str] = &[
    "HOLDFAST_CONF",
    "HOLDFAST_UPDATE_CONF",
    "HOLDFAST_POD_NAME",
    "HOLDFAST_PEERS",
    "HOLDFAST_PRIMARY_FILE",
    "HOLDFAST_PRIMARY_CONFIGMAP",
    "HOLDFAST_HTTP_NAME",
];

/// Other images set these for their own scripts; here they mean nothing, and nobody need be told.
const OTHERS: &[&str] = &[
    "VALKEY_VERSION",
    "VALKEY_DOWNLOAD_URL",
    "VALKEY_DOWNLOAD_SHA",
    "VALKEY_BASE_DIR",
    "VALKEY_VOLUME_DIR",
    "VALKEY_CONF_DIR",
    "VALKEY_DEFAULT_CONF_DIR",
    "VALKEY_CONF_FILE",
    "VALKEY_LOG_DIR",
    "VALKEY_LOG_FILE",
    "VALKEY_TMP_DIR",
    "VALKEY_PID_FILE",
    "VALKEY_BIN_DIR",
    "VALKEY_DAEMON_USER",
    "VALKEY_DAEMON_GROUP",
];

/// A file is a secret or a path; more than this is neither.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// Reads a file; handed in, so that tests need none.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The environment, read once.
pub struct Variables<'a> {
    values: BTreeMap<String, String>,
    read: ReadFile<'a>,
}

impl<'a> Variables<'a> {
    /// Takes the environment; a name that stands twice counts as it stands last, and that is told.
    pub fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        read: ReadFile<'a>,
        notices: &mut Vec<String>,
    ) -> Variables<'a> {
        let mut values = BTreeMap::new();
        for (name, value) in environment {
            if !is_ours(&name) {
                continue;
            }
            if values.insert(name.clone(), value).is_some() {
                notices.push(format!("{name} stands twice in the environment: the last one counts"));
            }
        }
        Variables { values, read }
    }

    /// Warns of names that look like ours and are not.
    pub fn unknown(&self, notices: &mut Vec<String>) {
        for name in self.values.keys() {
            let plain = name.strip_suffix("_FILE").unwrap_or(name);
            let known = |n: &str| KNOWN.contains(&n) || OTHERS.contains(&n);
            if !name.starts_with("VALKEY_") || known(name) || known(plain) || self.is_of_a_service(name) {
                continue;
            }
            let near = nearest(name).map(|n| format!("; {n} is the nearest")).unwrap_or_default();
            notices.push(format!("{name} is not a variable of this image and has no effect{near}"));
        }
    }

    /// Kubernetes puts the address of each service into the environment, and a service may well be called `valkey`.
    fn is_of_a_service(&self, name: &str) -> bool {
        let address = |v: &String| v.starts_with("tcp://") || v.starts_with("udp://");
        self.values.get(name).is_some_and(address)
            || name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || ["_TCP", "_UDP"].iter().any(|p| name.contains(&format!("{p}_")) || name.ends_with(p))
    }

    /// The value of a variable, or the content of the file `NAME_FILE` names, without the line break at its end. An empty value
    /// is no value.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<String>, String> {
        let own = self.values.get(name).filter(|v| !v.is_empty() && !v.starts_with("tcp://"));
        if let Some(value) = own {
            return Ok(Some(value.clone()));
        }
        let variable = format!("{name}_FILE");
        // VALKEY_TLS_CERT is not VALKEY_TLS_CERT_FILE's content.
        let Some(path) = self.values.get(&variable).filter(|p| !p.is_empty() && !KNOWN.contains(&variable.as_str()))
        else {
            return Ok(None);
        };
        let mut content =
            (self.read)(Path::new(path)).map_err(|e| format!("{variable}: '{path}' cannot be read: {e}"))?;
        while content.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            content.pop();
        }
        if content.len() > FILE_BYTES_MAX {
            return Err(format!("{variable}: '{path}' has more than {FILE_BYTES_MAX} bytes"));
        }
        let text = String::from_utf8(content).map_err(|_| format!("{variable}: '{path}' is not UTF-8"))?;
        Ok((!text.is_empty()).then_some(text))
    }

    /// The first of several names that has a value.
    ///
    /// # Errors
    /// See [`Variables::get`].
    pub fn first(&self, names: &[&str]) -> Result<Option<String>, String> {
        for name in names {
            if let Some(value) = self.get(name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// A yes or no; `None` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        match self.get(name)?.map(|v| v.to_ascii_lowercase()).as_deref() {
            None => Ok(None),
            Some("yes" | "true" | "1" | "on") => Ok(Some(true)),
            Some("no" | "false" | "0" | "off") => Ok(Some(false)),
            Some(_) => Err(format!("{name}: '{}' is neither yes nor no", self.get(name)?.unwrap_or_default())),
        }
    }

    /// `HOLDFAST_...` variables, each the name of a directive in capitals, in order.
    pub fn directives(&self) -> impl Iterator<Item = (&str, String)> {
        let reserved = |name: &str| OWN.contains(&name.strip_suffix("_FILE").unwrap_or(name)) || OWN.contains(&name);
        self.values.keys().filter_map(move |name| {
            let directive = name.strip_prefix("HOLDFAST_")?;
            let skipped = reserved(name) || self.is_of_a_service(name);
            (!skipped).then(|| (name.as_str(), directive.to_ascii_lowercase().replace('_', "-")))
        })
    }

    /// The variables of this server's that are set, for telling that they do not count.
    pub fn set(&self) -> Vec<&str> {
        self.values.keys().map(String::as_str).filter(|n| KNOWN.contains(n)).collect()
    }
}

fn is_ours(name: &str) -> bool {
    let other = ["ALLOW_EMPTY_PASSWORD", "OPENSSL_CONF", "OPENSSL_FIPS", "BITNAMI_DEBUG"];
    name.starts_with("VALKEY_")
        || name.starts_with("HOLDFAST_")
        || other.contains(&name.strip_suffix("_FILE").unwrap_or(name))
}

fn nearest(name: &str) -> Option<&'static str> {
    crate::config::nearest_of(name, KNOWN.iter().copied())
}
