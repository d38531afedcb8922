//! The operational environment: where the module runs, and whether that is where the laboratory tested it.
//!
//! Everything is read from the kernel's text files, and parsed by functions that take text.

use std::fs;

/// Text files of the kernel are small; what is longer is cut.
const LINE_CHARS_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// As the build was made for: `x86_64`, `aarch64`.
    pub architecture: &'static str,
    pub cpu: String,
    pub rdrand: bool,
    /// `cpuid` says that this is a guest.
    pub hypervisor: bool,
    pub kernel: String,
    /// The kernel's own `fips_enabled`; says nothing about this module.
    pub kernel_fips: bool,
    pub distribution: String,
    /// `docker`, `podman`, `kubernetes`, ...; `None` outside of one, as far as can be seen.
    pub container: Option<String>,
    /// 0: nobody.
    pub tracer_pid: u32,
}

/// Whether the certificate names this environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    Listed,
    /// The vendor affirms that the module runs unchanged; the certificate does not say so.
    Ported,
}

impl Listing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Ported => "ported",
        }
    }
}

impl Environment {
    /// Of this process. What cannot be read is `unknown`, never an error: it is reported, not required.
    pub fn read() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let distribution = {
            let text = read("/etc/os-release");
            if text.is_empty() { read("/usr/lib/os-release") } else { text }
        };
        Self {
            architecture: std::env::consts::ARCH,
            cpu: cpu_name(&cpuinfo),
            rdrand: has_flag(&cpuinfo, "rdrand"),
            hypervisor: has_flag(&cpuinfo, "hypervisor"),
            kernel: one_line(&read("/proc/sys/kernel/osrelease")),
            kernel_fips: read("/proc/sys/crypto/fips_enabled").trim() == "1",
            distribution: distribution_name(&distribution),
            container: container(),
            tracer_pid: tracer_pid(&read("/proc/self/status")),
        }
    }

    /// The laboratory tested on Amazon Linux 2023, on an Intel Xeon Platinum 8375C and on Graviton4.
    pub fn listing(&self) -> Listing {
        let processor = match self.architecture {
            "x86_64" => self.cpu.contains("8375C"),
            "aarch64" => self.cpu.contains(GRAVITON4),
            _ => false,
        };
        if processor && self.distribution.starts_with("Amazon Linux 2023") { Listing::Listed } else { Listing::Ported }
    }
}

/// Graviton4's core, as [`cpu_name`] writes what the kernel says on ARM, which gives numbers only.
const GRAVITON4: &str = "implementer 0x41 part 0xd4f";

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of `key : value` in the kernel's style.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Trimmed, without control characters, bounded: it goes into logs and replies.
fn one_line(text: &str) -> String {
    let line: String = text.trim().chars().filter(|c| !c.is_control()).take(LINE_CHARS_MAX).collect();
    if line.is_empty() { "unknown".to_owned() } else { line }
}

fn cpu_name(cpuinfo: &str) -> String {
    if let Some(name) = field(cpuinfo, "model name") {
        return one_line(name);
    }
    match (field(cpuinfo, "CPU implementer"), field(cpuinfo, "CPU part")) {
        (Some(implementer), Some(part)) => one_line(&format!("implementer {implementer} part {part}")),
        _ => "unknown".to_owned(),
    }
}

fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    field(cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|f| f == flag))
}

fn distribution_name(os_release: &str) -> String {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    one_line(value.unwrap_or_default().trim_matches(['"', '\'']))
}

/// The process that traces this one now; 0 if none does.
pub fn tracer_now() -> u32 {
    tracer_pid(&read("/proc/self/status"))
}

fn tracer_pid(status: &str) -> u32 {
    field(status, "TracerPid").and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn container() -> Option<String> {
    // systemd-nspawn, podman and lxc set it for the first process.
    if let Some(name) = std::env::var("container").ok().filter(|n| !n.is_empty()) {
        return Some(one_line(&name));
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some("kubernetes".to_owned());
    }
    if fs::exists("/.dockerenv").unwrap_or(false) {
        return Some("docker".to_owned());
    }
    if fs::exists("/run/.containerenv").unwrap_or(false) {
        return Some("podman".to_owned());
    }
    container_in_cgroup(&read("/proc/1/cgroup"))
}

fn container_in_cgroup(cgroup: &str) -> Option<String> {
    [
        ("kubepods", "kubernetes"),
        ("docker", "docker"),
        ("libpod", "podman"),
        ("lxc", "lxc"),
        ("containerd", "containerd"),
    ]
    .into_iter()
    .find(|(mark, _)| cgroup.contains(mark))
    .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_laboratory_tested_is_listed() {
        let listed = Environment {
            architecture: "x86_64",
            cpu: "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz".into(),
            distribution: "Amazon Linux 2023.6.20241010".into(),
            ..Environment::default()
        };
        assert_eq!(listed.listing(), Listing::Listed);
        assert_eq!(Environment { cpu: "AMD EPYC".into(), ..listed.clone() }.listing(), Listing::Ported);
        assert_eq!(Environment { distribution: "Ubuntu 24.04".into(), ..listed.clone() }.listing(), Listing::Ported);
        let arm = Environment { architecture: "aarch64", cpu: GRAVITON4.to_owned(), ..listed };
        assert_eq!(arm.listing(), Listing::Listed);
    }

    #[test]
    fn kernel_texts_are_parsed() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu rdrand aes\n";
        assert_eq!(cpu_name(cpuinfo), "Some CPU");
        assert!(has_flag(cpuinfo, "rdrand") && !has_flag(cpuinfo, "rdran") && !has_flag(cpuinfo, "hypervisor"));
        assert_eq!(cpu_name("CPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"), GRAVITON4);
        assert_eq!(cpu_name(""), "unknown");
        assert_eq!(
            distribution_name("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
            "Debian GNU/Linux 13 (trixie)"
        );
        assert_eq!(tracer_pid("Name:\tx\nTracerPid:\t4711\n"), 4711);
        assert_eq!(tracer_pid("Name:\tx\nTracerPid:\t0\n"), 0);
        assert_eq!(container_in_cgroup("0::/kubepods/pod1/docker-2").as_deref(), Some("kubernetes"));
        assert_eq!(container_in_cgroup("0::/init.scope"), None);
    }

    #[test]
    fn this_process_has_an_environment_in_single_lines() {
        let e = Environment::read();
        for text in [&e.cpu, &e.kernel, &e.distribution] {
            assert!(!text.is_empty() && !text.contains('\n'));
        }
    }
}
