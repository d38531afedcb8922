//! What the machine answers, whatever the pieces are in which it hears.

use super::*;

fn introduction() -> Introduction {
    Introduction {
        password: Some(b"pw".to_vec()),
        listening_port: 7000,
        version: "9.1.0".into(),
        have: Some(("a".repeat(40), 101)),
        timeout_ms: 1000,
        ..Introduction::default()
    }
}

/// Feeds bytes in pieces of `step` and returns what came out, joined.
fn run(m: &mut Machine, bytes: &[u8], step: usize) -> Result<Vec<String>, Ended> {
    let (mut found, mut payload, mut stream) = (Vec::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        let mut out = Vec::new();
        m.on(1, Input::Bytes(piece), &mut out)?;
        for o in out {
            match o {
                Output::Send(b) => found.push(format!("send {}", String::from_utf8_lossy(&b).replace("\r\n", " "))),
                Output::PayloadBytes(b) => payload.extend(b),
                Output::Stream(b) => stream.extend_from_slice(b),
                other => found.push(format!("{other:?}")),
            }
        }
    }
    found.push(format!("copy {} stream {}", String::from_utf8_lossy(&payload), String::from_utf8_lossy(&stream)));
    Ok(found)
}

#[test]
fn a_copy_of_either_form_and_a_continuation_come_through_whatever_the_pieces_are() {
    let (id, mark) = ("b".repeat(40), "0123456789".repeat(4));
    for step in [1, 2, 7, 1000] {
        let begin = |rest: &str| {
            let mut out = Vec::new();
            let mut m = Machine::new(introduction(), 0, &mut out);
            assert_eq!(out.len(), 1);
            let found = run(&mut m, format!("+PONG\r\n+OK\r\n+OK\r\n-ERR what\r\n+OK\r\n{rest}").as_bytes(), step);
            (found.unwrap(), m.is_streaming())
        };
        let (found, streaming) = begin(&format!("\n+FULLRESYNC {id} 100\r\n\n$5\r\nhelloPING"));
        assert!(streaming);
        assert_eq!(found.last().unwrap(), "copy hello stream PING");
        assert!(found[1].contains("PSYNC") && found[1].contains("101"), "{found:?}");
        let (found, streaming) =
            begin(&format!("+FULLRESYNC {id} 100\r\n$EOF:{mark}\r\nhello, {m}{mark}", m = &mark[..39]));
        assert!(streaming);
        assert_eq!(*found.last().unwrap(), format!("copy hello, {} stream ", &mark[..39]));
        let (found, streaming) = begin(&format!("+CONTINUE {id}\r\nxyz"));
        assert!(streaming && found.contains(&format!("Continue {{ id: Some({id:?}) }}")));
        assert_eq!(found.last().unwrap(), "copy  stream xyz");
    }
}

#[test]
fn a_copy_on_its_own_connection_goes_before_the_stream_that_was_held() {
    let (id, mark) = ("b".repeat(40), "0123456789".repeat(4));
    let two = || Introduction { two: true, held_bytes_max: 6, ..introduction() };
    for (step, loaded_first) in [(1, false), (3, true), (1000, false), (1000, true)] {
        let mut m = Machine::new(two(), 0, &mut Vec::new());
        let found = run(&mut m, b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+DUALCHANNELSYNC\r\n", step).unwrap();
        assert!(found.contains(&"OpenCopy".to_owned()) && m.is_apart(), "{found:?}");
        let mut copy = Machine::for_copy(two(), 0, &mut Vec::new());
        let text = format!("+OK\r\n+OK\r\n\n$ENDOFF:100 {id} -1 7\r\n$EOF:{mark}\r\nhello{mark}");
        let found = run(&mut copy, text.as_bytes(), step).unwrap();
        let offer = Offer { id: id.clone(), offset: 100, client: 7 };
        assert!(found.iter().any(|f| f.contains("SYNC")) && found.contains(&format!("Offered({offer:?})")));
        assert!(found.contains(&"PayloadEnd".to_owned()) && !copy.is_streaming(), "{found:?}");
        assert_eq!(found.last().unwrap(), "copy hello stream ");
        assert!(run(&mut copy, b"x", 1).is_err());

        let mut out = Vec::new();
        m.on(1, Input::Offered(offer), &mut out).unwrap();
        let [Output::Send(bytes)] = &out[..] else { panic!("{out:?}") };
        assert!(bytes.ends_with(b"set-rdb-client-id\r\n$1\r\n7\r\n"), "the PSYNC waits for the answer");
        let found = run(&mut m, b"+OK\r\n", 9).unwrap();
        assert!(found[0] == "Behind" && found[1].contains("PSYNC") && found[1].contains("101"), "{found:?}");
        let mut out = Vec::new();
        if loaded_first {
            m.on(1, Input::Loaded, &mut out).unwrap();
            assert!(out.is_empty() && !m.is_streaming());
            let found = run(&mut m, format!("+CONTINUE {id}\r\nabc").as_bytes(), step).unwrap();
            assert!(found.contains(&"Joined { late: true }".to_owned()));
            assert_eq!(found.last().unwrap(), "copy  stream abc");
        } else {
            run(&mut m, format!("+CONTINUE {id}\r\nabc").as_bytes(), step).unwrap();
            assert!(!m.is_full());
            run(&mut m, b"def", step).unwrap();
            assert!(m.is_full() && m.on(10_000, Input::Tick, &mut Vec::new()).is_ok());
            m.on(10_000, Input::Loaded, &mut out).unwrap();
            let held: Vec<u8> = out
                .iter()
                .filter_map(|o| if let Output::HeldStream(b) = o { Some(&b[..]) } else { None })
                .flatten()
                .copied()
                .collect();
            assert_eq!(
                (&out[0], &held[..], out.last()),
                (&Output::Joined { late: false }, &b"abcdef"[..], Some(&Output::Ack))
            );
        }
        assert!(m.is_streaming());
    }
}

#[test]
fn a_primary_that_refuses_the_second_connection_or_the_stream_behind_it_ends_the_link() {
    let two = || Introduction { two: true, password: None, ..introduction() };
    let id = "c".repeat(40);
    for text in [
        "-ERR no\r\n".into(),
        "+OK\r\n-ERR no\r\n".into(),
        "+OK\r\n$ENDOFF:1 x -1 7\r\n".into(),
        format!("+OK\r\n$ENDOFF:-1 {id} 0 7\r\n"),
        format!("+OK\r\n$ENDOFF:1 {id} 0\r\n"),
    ] {
        let mut copy = Machine::for_copy(two(), 0, &mut Vec::new());
        assert!(run(&mut copy, text.as_bytes(), 3).is_err(), "{text}");
    }
    for text in [
        "x\r\n",
        "-ERR Unrecognized RDB client id 7\r\n",
        "+OK\r\n+DUALCHANNELSYNC\r\n",
        "+OK\r\n+FULLRESYNC\r\n",
        "+OK\r\n+CONTINUE x\r\n",
    ] {
        let mut m = Machine::new(two(), 0, &mut Vec::new());
        run(&mut m, b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+DUALCHANNELSYNC\r\n", 5).unwrap();
        m.on(1, Input::Offered(Offer { id: id.clone(), offset: 1, client: 7 }), &mut Vec::new()).unwrap();
        assert!(run(&mut m, text.as_bytes(), 3).is_err(), "{text}");
    }
}

#[test]
fn a_primary_that_refuses_or_talks_nonsense_ends_the_link() {
    let hello = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
    let id = "c".repeat(40);
    for (rest, refused) in [
        ("-DENIED go away\r\n".to_owned(), true),
        ("+PONG\r\n-WRONGPASS invalid\r\n".to_owned(), true),
        (format!("{hello}-NOMASTERLINK not now\r\n"), true),
        (format!("{hello}+FULLRESYNC x 1\r\n"), false),
        (format!("{hello}+FULLRESYNC {id} -1\r\n"), false),
        (format!("{hello}+FULLRESYNC {id} 1\r\nHTTP\r\n"), false),
        (format!("{hello}+FULLRESYNC {id} 1\r\n$0\r\n"), false),
        (format!("{hello}+FULLRESYNC {id} 1\r\n-ERR no disk\r\n"), true),
        (format!("{hello}+CONTINUE nonsense\r\n"), false),
        ("x".repeat(5000), false),
    ] {
        let mut m = Machine::new(introduction(), 0, &mut Vec::new());
        let ended = run(&mut m, rest.as_bytes(), 3).unwrap_err();
        assert_eq!(matches!(ended, Ended::Refused(_)), refused, "{rest}: {ended}");
    }
}

#[test]
fn a_silent_primary_is_given_up_and_a_stream_is_acknowledged_every_second() {
    let mut m = Machine::new(introduction(), 0, &mut Vec::new());
    assert!(m.on(1000, Input::Tick, &mut Vec::new()).is_ok());
    assert!(matches!(m.on(1001, Input::Tick, &mut Vec::new()), Err(Ended::Timeout(_))));
    let mut m = Machine::new(introduction(), 0, &mut Vec::new());
    run(&mut m, b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+CONTINUE\r\n", 100).unwrap();
    let mut out = Vec::new();
    m.on(900, Input::Tick, &mut out).unwrap();
    assert!(out.is_empty());
    m.on(1001, Input::Tick, &mut out).unwrap();
    assert_eq!(out, [Output::Ack]);
}
