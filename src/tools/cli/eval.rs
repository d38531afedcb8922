//! `--eval FILE key ... , argument ...`: a script from a file, run by the server.

use std::path::Path;
use std::process::ExitCode;

use super::client::Client;
use super::connection::say;

pub fn run(client: &mut Client, script: &Path) -> ExitCode {
    let text = match std::fs::read(script) {
        Ok(text) => text,
        Err(e) => {
            eprintln!("Can't open file '{}': {}", script.display(), say(&e));
            return ExitCode::FAILURE;
        }
    };
    let words = client.options.words.clone();
    super::repeat(client, &request(text, &words))
}

/// A comma that is a word of its own parts the keys from the arguments.
fn request(script: Vec<u8>, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let keys = words.iter().position(|w| w == b",").unwrap_or(words.len());
    let mut request = vec![b"EVAL".to_vec(), script, keys.to_string().into_bytes()];
    request.extend(words.iter().take(keys).cloned());
    request.extend(words.iter().skip(keys + 1).cloned());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lonely_comma_parts_keys_from_arguments() {
        let words = |line: &str| line.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(request(b"s".to_vec(), &words("k1 k2 , a b")), words("EVAL s 2 k1 k2 a b"));
        assert_eq!(request(b"s".to_vec(), &words("k1 a,b")), words("EVAL s 2 k1 a,b"));
        assert_eq!(request(b"s".to_vec(), &[]), words("EVAL s 0"));
    }
}
