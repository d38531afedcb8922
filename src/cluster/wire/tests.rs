use super::*;
use crate::base::hash::Random;
use crate::base::slot::SlotId;
use proptest::prelude::*;

fn id(n: u8) -> NodeId {
    NodeId::random(&mut Random::new(u64::from(n)))
}

fn head(kind: Kind) -> Head {
    let mut slots = Slots::default();
    slots.set(SlotId::new(5461).unwrap(), true);
    Head {
        kind,
        port: 7000,
        other_port: 6999,
        bus_port: 17000,
        current_epoch: 9,
        config_epoch: 8,
        offset: 1 << 40,
        sender: id(1),
        slots,
        replica_of: (kind != Kind::Pong).then(|| id(2)),
        ip: "10.1.2.3".into(),
        flags: 0x1c01,
        is_up: true,
        marks: mark::PAUSED,
    }
}

fn gossip(n: u8) -> Gossip {
    Gossip {
        id: id(n),
        ping_sent_s: 1,
        pong_received_s: 2,
        ip: "::1".into(),
        port: 3,
        bus_port: 4,
        flags: 5,
        other_port: 6,
    }
}

fn extensions() -> Extensions {
    Extensions {
        hostname: "node-1.example".into(),
        nodename: "R0".into(),
        forgotten: vec![(id(7), 60)],
        shard: Some(id(8)),
        client_ipv4: "1.2.3.4".into(),
        client_ipv6: "::2".into(),
        client_port: 1,
        client_tls_port: 2,
        zone: "a".into(),
    }
}

fn samples() -> Vec<Vec<u8>> {
    let talk = Head { marks: mark::EXTENSIONS, ..head(Kind::Ping) };
    vec![
        encode(&talk, &Body::Talk(vec![gossip(3), gossip(4)], Some(Box::new(extensions())))),
        encode(&head(Kind::Pong), &Body::Talk(vec![gossip(3)], None)),
        encode(&head(Kind::Fail), &Body::Fail(id(5))),
        encode(&head(Kind::Publish), &Body::Publish { channel: b"ch".to_vec(), message: b"message".to_vec() }),
        encode(&head(Kind::Update), &Body::Update { epoch: 3, node: id(6), slots: Slots::default() }),
        encode(&head(Kind::AuthRequest), &Body::Nothing),
    ]
}

#[test]
fn what_is_written_is_read_again() {
    for bytes in samples() {
        assert_eq!(length(&bytes, STRANGER_BYTES_MAX), Ok(Some(bytes.len())));
        let message = parse(&bytes).unwrap();
        assert_eq!(encode(&message.head.unwrap(), &message.body), bytes);
    }
}

#[test]
fn the_layout_is_that_of_the_protocol() {
    let bytes = &samples()[0];
    assert_eq!(&bytes[..4], b"RCmb");
    assert_eq!(u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len());
    assert_eq!((&bytes[8..10], &bytes[10..12], &bytes[14..16]), (&[0, 1][..], &[0x1b, 0x58][..], &[0, 2][..]));
    // Slot 5461 is bit 5 of byte 682.
    assert_eq!(bytes[80 + 682], 1 << 5);
    assert_eq!(&bytes[2168..2176], b"10.1.2.3");
    assert_eq!(
        (&bytes[2214..2216], &bytes[2246..2252], bytes[2253]),
        (&[0, 9][..], &[0x1b, 0x57, 0x42, 0x68, 0x1c, 1][..], 4)
    );
    assert_eq!(&bytes[2256..2296], id(3).bytes());
}

#[test]
fn a_light_message_is_read_and_says_nothing_of_its_sender() {
    let mut bytes = b"RCmb\0\0\0\0\0\x01\0\0\x80\x04\0\0\0\0\0\x02\0\0\0\x03chmsg".to_vec();
    let len = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&len.to_be_bytes());
    let message = parse(&bytes).unwrap();
    assert!(message.head.is_none());
    assert_eq!(message.body, Body::Publish { channel: b"ch".to_vec(), message: b"msg".to_vec() });
    bytes[13] = 0;
    assert_eq!(parse(&bytes), Err(WireError::Kind(0x8000)));
}

#[test]
fn lengths_and_names_that_cannot_be_end_the_link() {
    assert_eq!(length(b"GET / HTTP/1.1\r\n", 100), Err(WireError::Signature));
    assert_eq!(length(b"RC", 100), Ok(None));
    assert!(matches!(length(b"RCmb\xff\xff\xff\xff", STRANGER_BYTES_MAX), Err(WireError::Length { .. })));
    assert!(matches!(length(b"RCmb\0\0\0\x01", STRANGER_BYTES_MAX), Err(WireError::Length { .. })));
    let good = samples().remove(0);
    for (at, byte) in
        [(9, 2), (13, 99), (40, b'\n'), (2168, b' '), (2256, b'x'), (15, 200), (2215, 200), (16, 0xff), (24, 0x7f)]
    {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(parse(&bad).is_err(), "byte {at}");
    }
    let mut publish = samples().remove(3);
    publish[HEAD_BYTES..HEAD_BYTES + 4].copy_from_slice(&[0xff; 4]);
    assert!(matches!(parse(&publish), Err(WireError::Length { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_make_the_parser_panic(which in 0usize..6, at in 0usize..2600, byte: u8, cut in 0usize..3000) {
        let mut bytes = samples().swap_remove(which);
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(cut.min(len));
        let _ = length(&bytes, STRANGER_BYTES_MAX);
        // Whatever is read can be written, and is the same then.
        if let Ok(Message { head: Some(head), body, kind, .. }) = parse(&bytes) && kind != Kind::Module {
            let again = parse(&encode(&head, &body)).unwrap();
            prop_assert_eq!(again.body, body);
        }
    }
}
