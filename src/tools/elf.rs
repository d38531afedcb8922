//! Symbols of a 64-bit little-endian ELF file, as far as evidence needs them: what `nm` would print.
//!
//! Invariant: any bytes are a list or nothing; no offset in the file is believed.

/// One symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub address: u64,
    /// Where its bytes stand in the file.
    pub offset: Option<usize>,
    /// `T`, `t`, `D`... as `nm` writes them, as far as code and data go.
    pub kind: char,
}

fn word<const N: usize>(file: &[u8], at: usize) -> Option<u64> {
    let bytes = file.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

struct Section {
    kind: u64,
    flags: u64,
    address: u64,
    offset: usize,
    size: usize,
    link: usize,
}

fn sections(file: &[u8]) -> Option<Vec<Section>> {
    if file.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let table = usize::try_from(word::<8>(file, 0x28)?).ok()?;
    let (size, count) = (word::<2>(file, 0x3a)? as usize, word::<2>(file, 0x3c)? as usize);
    (0..count)
        .map(|n| {
            let at = table.checked_add(n.checked_mul(size)?)?;
            Some(Section {
                kind: word::<4>(file, at + 4)?,
                flags: word::<8>(file, at + 8)?,
                address: word::<8>(file, at + 16)?,
                offset: usize::try_from(word::<8>(file, at + 24)?).ok()?,
                size: usize::try_from(word::<8>(file, at + 32)?).ok()?,
                link: word::<4>(file, at + 40)? as usize,
            })
        })
        .collect()
}

/// Symbols whose name contains one of `parts`, by address.
pub fn symbols(file: &[u8], parts: &[&str]) -> Vec<Symbol> {
    find(file, parts).unwrap_or_default()
}

fn find(file: &[u8], parts: &[&str]) -> Option<Vec<Symbol>> {
    const SYMTAB: u64 = 2;
    const ENTRY: usize = 24;
    const EXECUTABLE: u64 = 4;
    let sections = sections(file)?;
    let table = sections.iter().find(|s| s.kind == SYMTAB)?;
    let names = sections.get(table.link)?;
    let names = file.get(names.offset..names.offset.checked_add(names.size)?)?;
    let entries = file.get(table.offset..table.offset.checked_add(table.size)?)?;
    let mut found = Vec::new();
    for entry in entries.chunks_exact(ENTRY) {
        let name = names.get(word::<4>(entry, 0)? as usize..)?;
        let name = &name[..name.iter().position(|b| *b == 0).unwrap_or(name.len())];
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if !parts.iter().any(|p| name.contains(p)) {
            continue;
        }
        let (info, index, address) = (entry[4], word::<2>(entry, 6)? as usize, word::<8>(entry, 8)?);
        let section = sections.get(index);
        let letter = if section.is_some_and(|s| s.flags & EXECUTABLE != 0) { 't' } else { 'd' };
        let offset = section.and_then(|s| usize::try_from(address.checked_sub(s.address)?).ok()?.checked_add(s.offset));
        found.push(Symbol {
            name: name.to_owned(),
            address,
            offset,
            kind: if info >> 4 == 0 { letter } else { letter.to_ascii_uppercase() },
        });
    }
    found.sort_by_key(|s| s.address);
    Some(found)
}

/// The compilers' own words about themselves (`.comment`), one each.
pub fn comments(file: &[u8]) -> Vec<String> {
    // The section has no loaded address and holds text with NULs between; it is told by its first words.
    let Some(sections) = sections(file) else { return Vec::new() };
    let text = sections.iter().filter(|s| s.address == 0 && s.kind == 1).find_map(|s| {
        let bytes = file.get(s.offset..s.offset.checked_add(s.size)?)?;
        memchr::memmem::find(&bytes[..bytes.len().min(4096)], b"rustc version").map(|_| bytes)
    });
    let parts = text.unwrap_or_default().split(|b| *b == 0).filter(|p| !p.is_empty());
    parts.map(|p| String::from_utf8_lossy(p).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_module_is_found_in_this_binary() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        let found = symbols(&file, &["awslc_version_string", "BORINGSSL_bcm_text_hash"]);
        assert!(found.iter().any(|s| s.name.ends_with("awslc_version_string") && s.kind == 'T'), "{found:?}");
        assert!(comments(&file).iter().any(|c| c.starts_with("rustc version")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_nothing(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = symbols(&bytes, &[""]);
            for (at, b) in [0x7f, b'E', b'L', b'F', 2, 1].into_iter().enumerate() {
                if let Some(own) = bytes.get_mut(at) {
                    *own = b;
                }
            }
            let _ = (symbols(&bytes, &[""]), comments(&bytes));
        }
    }
}
