//! The title of the process, as `proc-title-template` words it.

use crate::base::title;
use crate::config::Config;
use std::path::Path;

/// Sets it, if it may be set.
pub fn apply(config: &Config, file: Option<&Path>) {
    if config.general.set_proc_title {
        title::set(&text(config, file, title::name()));
    }
}

/// The template with its variables, whose names were checked when it was set. Double braces stand for themselves.
fn text(config: &Config, file: Option<&Path>, name: &str) -> String {
    let (port, tls_port) = (config.network.port, config.tls.port);
    let socket = config.network.unixsocket.as_ref().map(|s| s.display().to_string()).unwrap_or_default();
    let variable = |variable: &str| match variable {
        "title" => name.to_owned(),
        "listen-addr" => {
            let first = config.network.bind.first().map_or("*", |b| b.address.as_str());
            match (port, tls_port) {
                (0, 0) => socket.clone(),
                (0, port) | (port, _) => format!("{first}:{port}"),
            }
        }
        "server-mode" => if config.cluster.enabled { "[cluster]" } else { "" }.to_owned(),
        "port" => port.to_string(),
        "tls-port" => tls_port.to_string(),
        "unixsocket" => socket.clone(),
        "config-file" => file.map(|f| f.display().to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    let (mut out, mut rest) = (String::new(), config.general.proc_title_template.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            out.push('{');
            rest = after;
        } else if let Some((name, after)) = after.split_once('}') {
            out.push_str(&variable(name));
            rest = after;
        } else {
            rest = "";
        }
    }
    out.push_str(rest);
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_filled_in() {
        let mut config = Config::default();
        (config.network.port, config.tls.port) = (0, 6380);
        assert_eq!(text(&config, None, "/bin/holdfast"), "/bin/holdfast *:6380");
        config.cluster.enabled = true;
        (config.network.port, config.network.unixsocket) = (6379, Some("/s".into()));
        assert_eq!(text(&config, None, "x"), "x *:6379 [cluster]");
        config.general.proc_title_template = "{{a} {port} {tls-port} {unixsocket} {config-file} {listen-addr}!".into();
        assert_eq!(text(&config, Some(Path::new("/c")), "x"), "{a} 6379 6380 /s /c *:6379!");
    }
}
