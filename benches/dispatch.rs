//! A request's whole way without sockets: parsed, admitted, run under its lock, committed, accounted; a turn of 16.

#[path = "../tests/support/turn.rs"]
mod turn;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use turn::{Lab, request};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const KEYS: usize = 100_000;
const DEPTH: usize = 16;

fn dispatch(c: &mut Criterion) {
    let mut lab = Lab::new();
    let key = |i: usize| format!("key:{i:012}").into_bytes();
    // A stride that is prime to the number of keys visits all of them in an order the cache cannot guess.
    let turns = |make: &dyn Fn(&[u8]) -> Vec<u8>| -> Vec<Vec<u8>> {
        let requests: Vec<_> = (0..KEYS).map(|i| make(&key(i * 7919 % KEYS))).collect();
        requests.chunks(DEPTH).map(|r| r.concat()).collect()
    };
    let sets = turns(&|k| request(&[b"SET", k, &[b'v'; 64]]));
    let gets = turns(&|k| request(&[b"GET", k]));
    let mut group = c.benchmark_group("turn of 16");
    group.throughput(Throughput::Elements(DEPTH as u64));
    for (name, turns) in [("SET", &sets), ("GET", &gets)] {
        let mut all = turns.iter().cycle();
        group.bench_function(name, |b| b.iter(|| black_box(lab.turn(all.next().expect("endless")))));
    }
    group.finish();
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
