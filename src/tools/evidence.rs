//! `holdfast fips evidence`: what a reviewer asks for, gathered from this binary on this machine, as a folder or as JSON.
//!
//! Everything is shown, not claimed: the tests are run, handshakes are tried, and a copy of the binary whose module was changed by
//! one byte has to refuse to run.

use super::elf;
use crate::acl::{Acl, Policy, file};
use crate::audit::{Key, verify};
use crate::base::clock;
use crate::commands::{CommandTable, FAMILIES};
use crate::crypto;
use crate::fips::uses::USES;
use crate::fips::{Booting, Report};
use crate::net::tls::probe;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The packages this binary was built from, with their checksums.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Where further evidence is.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct EvidenceArgs {
    /// Folder to write to; it must not exist
    #[arg(long, required_unless_present = "json")]
    pub out: Option<PathBuf>,
    /// Print one JSON object instead of writing a folder
    #[arg(long)]
    pub json: bool,
    /// ACL file whose users are listed, without their passwords
    #[arg(long)]
    pub aclfile: Option<PathBuf>,
    /// Audit log whose chain is verified
    #[arg(long)]
    pub audit_file: Option<PathBuf>,
    /// Key of that chain; default: the log's name with .key
    #[arg(long)]
    pub audit_key_file: Option<PathBuf>,
}

/// Exit status 0 when all of it is as it has to be, 1 when something is not, 2 when it could not be written.
pub fn run(args: &EvidenceArgs, out: &mut dyn Write) -> ExitCode {
    let (parts, good) = gather(args);
    let written = match &args.out {
        Some(folder) if !args.json => {
            write(folder, &parts).and_then(|()| writeln!(out, "evidence written to {}", folder.display()))
        }
        _ => {
            let whole: serde_json::Map<String, Value> =
                parts.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
            writeln!(out, "{:#}", Value::Object(whole))
        }
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) if good => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(e) => {
            // Standard output may be what failed; then nobody is there to be told.
            let _ = writeln!(out, "evidence could not be written: {e}");
            ExitCode::from(2)
        }
    }
}

fn write(folder: &Path, parts: &[(&'static str, Value)]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    let mut sums = String::new();
    for (name, value) in parts {
        let text = format!("{value:#}\n");
        let file = format!("{name}.json");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(folder.join(&file))?.write_all(text.as_bytes())?;
        sums.push_str(&format!("{}  {file}\n", crypto::sha256_hex(text.as_bytes())));
    }
    std::fs::write(folder.join("SHA256SUMS"), sums)
}

/// The parts by name, and whether all of them are as they have to be.
fn gather(args: &EvidenceArgs) -> (Vec<(&'static str, Value)>, bool) {
    let binary = std::fs::read("/proc/self/exe").unwrap_or_default();
    let (report, passed) = match Booting::new().validate(None, None) {
        Ok(approved) => (approved.report().clone(), true),
        Err(rejected) => (*rejected.report, false),
    };
    let (tls, tls_good) = tls();
    let (negative, negative_good) = negative(&binary);
    let (audit, audit_good) = audit(args);
    let parts = vec![
        ("module", module(&binary)),
        ("self-tests", self_tests()),
        ("gate", report.json()),
        ("environment", environment(&report)),
        ("tls", tls),
        ("crypto-bill-of-materials", crypto_uses()),
        ("software-bill-of-materials", packages()),
        ("users", users(args)),
        ("audit", audit),
        ("negative-tests", negative),
    ];
    (parts, passed && tls_good && negative_good && audit_good)
}

fn module(binary: &[u8]) -> Value {
    let symbols =
        elf::symbols(binary, &["awslc_version_string", "FIPS_mode", "BORINGSSL_bcm_text", "BORINGSSL_integrity_test"]);
    let nm: Vec<String> = symbols.iter().map(|s| format!("{:016x} {} {}", s.address, s.kind, s.name)).collect();
    json!({
        "standard": "FIPS 140-3",
        "certificate": crypto::CERTIFICATE,
        "certificate_page": "https://csrc.nist.gov/projects/cryptographic-module-validation-program/certificate/5314",
        "module": crypto::module_version(),
        "pinned_module": crypto::MODULE_VERSION,
        "lane": crypto::LANE,
        "fips_mode": crypto::fips_mode(),
        "nm": nm,
        "toolchain": elf::comments(binary),
        "lock_sha256": crypto::sha256_hex(LOCK.as_bytes()),
        "binary_sha256": crypto::sha256_hex(binary),
        "version": env!("CARGO_PKG_VERSION"),
        "remark": "Holdfast is not a validated product; it uses the validated module named here for all its cryptography.",
    })
}

fn self_tests() -> Value {
    let timed = |name: &str, f: fn() -> Result<(), crypto::SelfTestFailed>| {
        let (begin_ms, begin) = (clock::wall_ms(), clock::monotonic_ns());
        let outcome = f();
        json!({
            "test": name,
            "began_unix_ms": begin_ms,
            "took_us": (clock::monotonic_ns() - begin) / 1000,
            "passed": outcome.is_ok(),
        })
    };
    json!([timed("integrity", crypto::integrity_test), timed("known-answer", crypto::known_answer_tests)])
}

fn environment(report: &Report) -> Value {
    let rows: serde_json::Map<_, _> = report
        .rows()
        .into_iter()
        .filter(|(n, _)| n.starts_with("fips_"))
        .map(|(n, v)| (n[5..].to_owned(), v.into()))
        .collect();
    json!({ "verdict": report.environment.listing().as_str(), "facts": rows })
}

fn tls() -> (Value, bool) {
    match probe::probes() {
        Ok(probes) => {
            let good = probes.iter().all(|p| p.accepted == p.wanted);
            let list: Vec<Value> = probes
                .iter()
                .map(|p| json!({"offered": p.offered, "accepted": p.accepted, "as_required": p.accepted == p.wanted, "detail": p.detail}))
                .collect();
            (
                json!({"as_required": good, "probes": list, "remark": "ECDSA certificate; RSA suites are tried by the tests with openssl"}),
                good,
            )
        }
        Err(e) => (json!({ "error": e }), false),
    }
}

fn crypto_uses() -> Value {
    let list = USES.iter().map(|u| {
        json!({"algorithm": u.algorithm, "purpose": u.purpose, "parameters": u.parameters, "place": u.place,
            "approved": u.approved, "remark": u.remark})
    });
    list.collect()
}

/// The packages of the lock file, as CycloneDX. Those of the tests are among them: the lock file does not tell them apart.
fn packages() -> Value {
    let field = |block: &str, name: &str| {
        let line = block.lines().find(|l| l.starts_with(name))?;
        line.split('"').nth(1).map(str::to_owned)
    };
    let components: Vec<Value> = LOCK
        .split("[[package]]")
        .skip(1)
        .filter_map(|block| {
            let (name, version) = (field(block, "name = ")?, field(block, "version = ")?);
            let mut component = json!({"type": "library", "name": name, "version": version, "purl": format!("pkg:cargo/{name}@{version}")});
            if let Some(sum) = field(block, "checksum = ") {
                component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
            }
            Some(component)
        })
        .collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components})
}

fn users(args: &EvidenceArgs) -> Value {
    let Some(path) = &args.aclfile else { return json!({"remark": "no ACL file was named (--aclfile)"}) };
    let list = || -> Result<Value, String> {
        if crate::storage::sealed_at(path) {
            return Err(format!("{} is sealed: ACL LIST of the running server tells its users", path.display()));
        }
        let text = std::fs::read(path).map_err(|e| e.to_string())?;
        let acl = Acl::new(CommandTable::new(FAMILIES, &[])?.catalog());
        let users = file::parse(&acl, &text, &path.display().to_string(), &Policy::default())?;
        let list = users.iter().map(|u| {
            let hashes: Vec<&str> = u.passwords().iter().map(|p| if p.is_slow() { "pbkdf2-sha256" } else { "sha256" }).collect();
            json!({
                "name": String::from_utf8_lossy(u.name()),
                "enabled": u.is_enabled(),
                "no_password": u.has_no_password(),
                "certificate_demanded": u.needs_certificate(),
                "passwords": hashes,
                "selectors": u.all_selectors().map(|s| String::from_utf8_lossy(&s.describe()).into_owned()).collect::<Vec<_>>(),
            })
        });
        Ok(list.collect())
    };
    list().unwrap_or_else(|e| json!({ "error": e }))
}

fn audit(args: &EvidenceArgs) -> (Value, bool) {
    let Some(log) = &args.audit_file else { return (json!({"remark": "no audit log was named (--audit-file)"}), true) };
    let key = args.audit_key_file.clone().unwrap_or_else(|| {
        let mut name = log.as_os_str().to_owned();
        name.push(".key");
        name.into()
    });
    match Key::read(&key).map_err(|e| json!({ "error": e })).and_then(|key| {
        verify(log, &key).map_err(|b| json!({"verified": false, "file": b.file.display().to_string(), "line": b.line, "fault": b.fault.to_string()}))
    }) {
        Ok(v) => (json!({"verified": true, "records": v.records, "last": v.last_seq, "head_mac": v.last_mac, "files": v.files}), true),
        Err(e) => (e, false),
    }
}

/// Runs a copy of this binary whose module has one other byte: it has to end before it does anything.
fn negative(binary: &[u8]) -> (Value, bool) {
    const NAME: &str = "a module that was changed by one byte does not run";
    let outcome = || -> Result<String, String> {
        let start = elf::symbols(binary, &["BORINGSSL_bcm_text_start"]).into_iter().find_map(|s| s.offset);
        let at = start.ok_or("the module's code was not found in the binary (stripped?)")? + 64;
        let mut copy = binary.to_vec();
        *copy.get_mut(at).ok_or("the module's code lies outside the file")? ^= 1;
        let folder = std::env::temp_dir()
            .join(format!("holdfast-evidence-{}", crypto::random_hex(16).map_err(|e| e.to_string())?));
        std::fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let path = folder.join("holdfast");
        let made = std::fs::write(&path, &copy)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)))
            .and_then(|()| Command::new(&path).args(["fips", "status"]).stdin(Stdio::null()).output());
        // What is left behind is a copy that does not run.
        let _ = std::fs::remove_dir_all(&folder);
        let out = made.map_err(|e| e.to_string())?;
        if out.status.success() {
            return Err("it ran".into());
        }
        let said = String::from_utf8_lossy(&out.stderr).trim().chars().take(300).collect::<String>();
        Ok(format!("{}: {said}", out.status))
    };
    match outcome() {
        Ok(detail) => (json!([{"test": NAME, "passed": true, "detail": detail}]), true),
        Err(e) => (json!([{"test": NAME, "passed": false, "detail": e}]), false),
    }
}
