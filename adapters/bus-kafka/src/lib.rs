//! Events over kafka.
