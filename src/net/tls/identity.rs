//! Who a client's certificate says it is: the common name of its subject, or the URIs of its alternative names, byte for byte.
//!
//! Invariant: a name with a NUL in it is no name: what ends there for one reader goes on for another.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Longer names are no user's.
const NAME_BYTES_MAX: usize = 1024;

/// What a certificate names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// In the order they stand.
    pub names: Vec<Vec<u8>>,
    /// Names that cannot be a user's: NUL in them, or far too long.
    pub refused: Vec<Vec<u8>>,
}

impl Names {
    fn add(&mut self, name: &[u8]) {
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(&0);
        let list = if fits { &mut self.names } else { &mut self.refused };
        list.push(name[..name.len().min(NAME_BYTES_MAX)].to_vec());
    }
}

/// The last common name of the subject: the most specific one.
pub fn common_name(der: &[u8]) -> Names {
    let mut names = Names::default();
    if let Ok((_, certificate)) = X509Certificate::from_der(der)
        && let Some(cn) = certificate.subject().iter_common_name().last()
    {
        names.add(cn.as_slice());
    }
    names
}

/// The URIs of the alternative names.
pub fn uris(der: &[u8]) -> Names {
    let mut names = Names::default();
    if let Ok((_, certificate)) = X509Certificate::from_der(der)
        && let Ok(Some(extension)) = certificate.subject_alternative_name()
    {
        for name in &extension.value.general_names {
            if let GeneralName::URI(uri) = name {
                names.add(uri.as_bytes());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(cn: &str, uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, cn);
        params.subject_alt_names = uris.iter().map(|u| SanType::URI((*u).try_into().unwrap())).collect();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_read_byte_for_byte() {
        let der = certificate("Client-only", &["urn:a:first", "urn:a:second"]);
        assert_eq!(common_name(&der).names, [b"Client-only".to_vec()]);
        assert_eq!(uris(&der).names, [b"urn:a:first".to_vec(), b"urn:a:second".to_vec()]);
        assert_eq!(common_name(b"no certificate"), Names::default());
    }

    #[test]
    fn a_name_with_nul_is_refused_and_shown() {
        let der = certificate("admin\0attacker", &[]);
        let names = common_name(&der);
        assert!(names.names.is_empty());
        assert_eq!(names.refused, [b"admin\0attacker".to_vec()]);
    }
}
