//! Requests cut out of a buffer, by the number and size of their arguments, whole and in two halves.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::resp::parser::{Limits, Parsed, Partial, parse};
use std::hint::black_box;

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for w in words {
        out.extend_from_slice(format!("${}\r\n", w.len()).as_bytes());
        out.extend_from_slice(w);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn parser(c: &mut Criterion) {
    const LIMITS: Limits = Limits { bulk_len_max: 512 << 20, authenticated: true };
    let fields: Vec<&[u8]> = std::iter::once(&b"HSET"[..]).chain(std::iter::repeat_n(&b"field"[..], 100)).collect();
    let cases = [
        ("GET", request(&[b"GET", b"key:000000000001"])),
        ("SET of 64 bytes", request(&[b"SET", b"key:000000000001", &[b'v'; 64]])),
        ("SET of 16 KiB", request(&[b"SET", b"key:000000000001", &[b'v'; 16 * 1024]])),
        ("101 arguments", request(&fields)),
    ];
    let mut spans = Vec::new();
    let mut group = c.benchmark_group("parser");
    for (name, bytes) in &cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("whole", name), |b| {
            b.iter(|| {
                spans.clear();
                let parsed = parse(black_box(bytes), &mut Partial::default(), &mut spans, LIMITS);
                assert!(matches!(parsed, Ok(Parsed::Request { .. })));
            });
        });
        let half = bytes.len() / 2;
        group.bench_function(BenchmarkId::new("in two halves", name), |b| {
            b.iter(|| {
                spans.clear();
                let mut partial = Partial::default();
                let first = parse(black_box(&bytes[..half]), &mut partial, &mut spans, LIMITS);
                assert_eq!(first, Ok(Parsed::Incomplete));
                let parsed = parse(black_box(bytes), &mut partial, &mut spans, LIMITS);
                assert!(matches!(parsed, Ok(Parsed::Request { .. })));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parser);
criterion_main!(benches);
