//! Effects as the bytes of the replication stream: SELECT where the database changes, MULTI and EXEC around a step of several effects.

use crate::journal::Step;

/// Encodes steps for one replica.
#[derive(Debug, Default)]
pub struct StreamEncoder {
    selected: Option<u32>,
}

impl StreamEncoder {
    /// Appends a step.
    pub fn step(&mut self, step: &Step, out: &mut Vec<u8>) {
        let together = step.effects.len() > 1;
        if together {
            command(out, &[b"MULTI"]);
        }
        for effect in &step.effects {
            if self.selected != Some(effect.db) {
                self.selected = Some(effect.db);
                command(out, &[b"SELECT", effect.db.to_string().as_bytes()]);
            }
            command(out, &effect.args.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        if together {
            command(out, &[b"EXEC"]);
        }
    }
}

fn command(out: &mut Vec<u8>, args: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for a in args {
        out.extend_from_slice(format!("${}\r\n", a.len()).as_bytes());
        out.extend_from_slice(a);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Effect, EffectNumber};

    #[test]
    fn a_step_of_several_effects_stands_between_multi_and_exec() {
        let effect = |db, word: &[u8]| Effect { db, args: vec![word.to_vec()] };
        let mut e = StreamEncoder::default();
        let mut out = Vec::new();
        e.step(&Step { number: EffectNumber(1), effects: vec![effect(0, b"A")] }, &mut out);
        e.step(&Step { number: EffectNumber(2), effects: vec![effect(0, b"B"), effect(0, b"C")] }, &mut out);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<&str> = text.split("\r\n").filter(|w| !w.starts_with(['*', '$']) && !w.is_empty()).collect();
        assert_eq!(words, ["SELECT", "0", "A", "MULTI", "B", "C", "EXEC"]);
    }
}
