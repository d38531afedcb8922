//! The table of keys against the standard library's, in and out of the cache, and with the prefetch that a turn does.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::base::cache::prefetch;
use holdfast::value::record::{Content, Record};
use holdfast::value::table::{MemberPath, PathOf, Table, prefetch_record};
use std::collections::HashMap;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keys looked up together: about a turn's window.
const WINDOW: usize = 16;

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    for keys in [1_000, 1_000_000] {
        let names: Vec<Vec<u8>> = (0..keys).map(|i| format!("key:{i:012}").into_bytes()).collect();
        // A stride prime to both sizes: no order the cache could guess.
        let order: Vec<&[u8]> = (0..keys).map(|i| names[i * 7919 % keys].as_slice()).collect();
        let mut table = Table::<MemberPath>::new();
        let mut std_table = HashMap::new();
        for name in &names {
            table.insert(Record::new(name, Content::String(&[b'v'; 32]), None));
            std_table.insert(name.clone(), vec![b'v'; 32]);
        }

        group.throughput(Throughput::Elements(WINDOW as u64));
        let mut windows = order.chunks_exact(WINDOW).cycle();
        group.bench_function(BenchmarkId::new("get", keys), |b| {
            b.iter(|| {
                for name in windows.next().expect("endless") {
                    black_box(table.get(name).is_some());
                }
            });
        });
        group.bench_function(BenchmarkId::new("get, prefetched", keys), |b| {
            b.iter(|| {
                let window = windows.next().expect("endless");
                let mut paths = [0; WINDOW];
                for (path, name) in paths.iter_mut().zip(window) {
                    *path = MemberPath::path(name);
                    prefetch(table.bucket_address(*path));
                }
                for path in paths {
                    prefetch_record(table.record_address(path));
                }
                for (path, name) in paths.into_iter().zip(window) {
                    black_box(table.get_at(path, name).is_some());
                }
            });
        });
        group.bench_function(BenchmarkId::new("std HashMap get", keys), |b| {
            b.iter(|| {
                for name in windows.next().expect("endless") {
                    black_box(std_table.contains_key(*name));
                }
            });
        });
        group.bench_function(BenchmarkId::new("remove and insert", keys), |b| {
            b.iter(|| {
                for name in windows.next().expect("endless") {
                    let record = table.remove(name).expect("it is there");
                    table.insert(record);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, table);
criterion_main!(benches);
