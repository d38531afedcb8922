//! What a request costs the allocator: figures that do not drift from machine to machine.

#[path = "support/turn.rs"]
mod turn;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use turn::{Lab, request};

/// Counts the calls of each thread by itself: the thread that frees garbage must not show up in the figures.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and nothing to tell.
    let _ = CALLS.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: every call is handed to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Enough that the segments of most stripes have been through their small sizes.
const KEYS: usize = 200_000;

/// A command's latency histogram takes memory the first time it meets a power of two: so often in the life of the server, whatever
/// the number of requests.
const HISTOGRAM_CHUNKS: usize = 24;

fn key(i: usize) -> Vec<u8> {
    format!("key:{i:012}").into_bytes()
}

/// Allocations of `requests`, handed over 16 to a turn.
fn allocations(lab: &mut Lab, requests: &[Vec<u8>]) -> usize {
    let turns: Vec<Vec<u8>> = requests.chunks(16).map(|c| c.concat()).collect();
    let before = CALLS.get();
    for t in &turns {
        lab.turn(t);
    }
    CALLS.get() - before
}

#[test]
fn requests_cost_what_they_must_and_no_more() {
    let mut lab = Lab::new();
    let sets = |value: &[u8]| -> Vec<_> { (0..KEYS).map(|i| request(&[b"SET", &key(i), value])).collect() };
    let gets: Vec<_> = (0..KEYS).map(|i| request(&[b"GET", &key(i)])).collect();
    let value = [b'v'; 64];

    // Buffers that are kept from turn to turn take their size once.
    allocations(&mut lab, &vec![request(&[b"SET", b"first", &value]); 64]);
    allocations(&mut lab, &vec![request(&[b"GET", b"first"]); 64]);

    let inserting = allocations(&mut lab, &sets(&value));
    println!("inserting SET: {inserting} allocations for {KEYS} keys");
    assert!(inserting > 0, "nothing was counted");
    // Records come from slabs; segments grow in steps and are then split: a few allocations for dozens of keys.
    assert!(inserting < KEYS / 10, "{inserting}");

    let again = allocations(&mut lab, &sets(&[b'w'; 64]));
    println!("SET of the same size: {again} allocations for {KEYS}");
    assert!(again <= HISTOGRAM_CHUNKS, "{again}");

    let read = allocations(&mut lab, &gets);
    println!("GET: {read} allocations for {KEYS}");
    assert!(read <= HISTOGRAM_CHUNKS, "{read}");

    let absent: Vec<_> = (KEYS..2 * KEYS).map(|i| request(&[b"GET", &key(i)])).collect();
    let none = allocations(&mut lab, &absent);
    assert!(none <= HISTOGRAM_CHUNKS, "GET of a key that is not there: {none}");
}
