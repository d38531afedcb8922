//! Looks now and then whether another process traces this one: the module's security policy forbids it while the module runs.

use crate::audit::{Event, Outcome, Record};
use crate::base::clock;
use crate::commands::Node;
use crate::fips;

/// Between two looks. A look reads one small file of the kernel's.
const INTERVAL_MS: u64 = 1000;

/// What the last look found.
#[derive(Debug, Default)]
pub struct Watch {
    next_ms: u64,
    tracer: u32,
}

impl Watch {
    /// Tells of a tracer that has come or gone, once each.
    pub fn look(&mut self, node: &Node) {
        let now = clock::monotonic_ms();
        if now < self.next_ms {
            return;
        }
        self.next_ms = now + INTERVAL_MS;
        let tracer = fips::tracer_now();
        if tracer == self.tracer {
            return;
        }
        match tracer {
            0 => tracing::warn!("FIPS VALIDATION: tracer: process {} has let go of this one", self.tracer),
            pid => tracing::error!(
                "FIPS VALIDATION: tracer: process {pid} traces this one, which the module's security policy forbids: what it \
                 keeps secret may be known, end the tracer and change the keys"
            ),
        }
        self.tracer = tracer;
        node.audit.record(Record::new(Event::Tracer, Outcome::Done).with("tracer_pid", tracer.to_string()));
    }
}
