//! Whether another cryptographic library lives in this process.

/// Names of shared objects that implement cryptography, without version and ending.
const CRYPTO_LIBRARIES: [&str; 27] = [
    "libssl",
    "libcrypto",
    "libgcrypt",
    "libgnutls",
    "libnettle",
    "libhogweed",
    "libnss3",
    "libnssutil3",
    "libsmime3",
    "libfreebl3",
    "libfreeblpriv3",
    "libsoftokn3",
    "libmbedtls",
    "libmbedcrypto",
    "libmbedx509",
    "libtfpsacrypto",
    "libwolfssl",
    "libsodium",
    "libbotan",
    "libcryptopp",
    "libcrypto++",
    "libtomcrypt",
    "libtls",
    "libboringssl",
    "libs2n",
    "libbearssl",
    "librhash",
];

/// The cryptographic libraries among the files a process has mapped, each once. `maps` is the text of
/// `/proc/<pid>/maps`.
pub fn foreign_libraries(maps: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in maps.lines() {
        // address, permissions, offset, device, inode, path; the path may contain spaces.
        let Some(path) = line.find('/').and_then(|at| line.get(at..)) else { continue };
        let name = path.rsplit('/').next().unwrap_or(path);
        if is_crypto(name) && !found.iter().any(|f| f == path) {
            found.push(path.to_owned());
        }
    }
    found
}

/// The library's name, then its version or ending: `libssl.so.3`, `libssl-1a2b.so`, `libbotan-2.so`, not `libsslio.so`.
fn is_crypto(file: &str) -> bool {
    CRYPTO_LIBRARIES.iter().any(|library| {
        file.strip_prefix(library)
            .is_some_and(|rest| rest.starts_with(['.', '-', '_']) || rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_libraries_are_found_in_a_memory_map_once_each() {
        let maps = "\
55d0c0a00000-55d0c0b00000 r-xp 00000000 08:01 131 /usr/bin/holdfast
7f00a0000000-7f00a0100000 r-xp 00000000 08:01 132 /usr/lib/x86_64-linux-gnu/libcrypto.so.3
7f00a0100000-7f00a0200000 r--p 00100000 08:01 132 /usr/lib/x86_64-linux-gnu/libcrypto.so.3
7f00a0200000-7f00a0300000 r-xp 00000000 08:01 133 /opt/my libs/libssl-1a2b3c.so.1.1 (deleted)
7f00a0300000-7f00a0400000 r-xp 00000000 08:01 134 /usr/lib/libgnutls.so.30.37.1
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]
";
        assert_eq!(
            foreign_libraries(maps),
            [
                "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
                "/opt/my libs/libssl-1a2b3c.so.1.1 (deleted)",
                "/usr/lib/libgnutls.so.30.37.1"
            ]
        );
    }

    #[test]
    fn names_that_only_look_alike_are_no_crypto_libraries() {
        let maps = "\
7f00 r-xp 0 08:01 1 /lib/libcrypt.so.1
7f00 r-xp 0 08:01 1 /lib/libnss_files.so.2
7f00 r-xp 0 08:01 1 /lib/libsslio.so
7f00 r-xp 0 08:01 1 /lib/libc.so.6
7f00 r-xp 0 08:01 1 /srv/libssl.so.d/data.bin
";
        assert_eq!(foreign_libraries(maps), Vec::<String>::new());
        assert_eq!(foreign_libraries(""), Vec::<String>::new());
    }
}
