//! Counters, histograms, slow log, latency events.
