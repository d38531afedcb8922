//! The right to bind sockets.

/// Whoever holds one may bind sockets. The start-up gate makes the only one, once it has passed; nothing else may call
/// [`Permit::after_the_gate`], which a test below checks.
#[derive(Debug)]
pub struct Permit(());

impl Permit {
    /// For the start-up gate alone.
    pub(crate) fn after_the_gate() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn search(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs")
                && std::fs::read_to_string(&path).unwrap().contains("Permit::after_the_gate()")
            {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn only_the_gate_makes_permits() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        search(&src, &mut found);
        found.retain(|p| !p.contains("/src/net/"));
        assert_eq!(found, [src.join("fips/gate.rs").to_string_lossy()]);
    }
}
