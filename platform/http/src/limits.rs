//! How much a stranger may ask of a listener before it stops listening to them.

/// Limits of a listener (R-H 1). All times are real time, whatever clock the program is driven by: they guard sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the opening of a connection to its first byte, milliseconds; with TLS as much for the handshake, and as much
    /// again from its end to the first byte.
    pub first_byte_ms: u64,
    /// From the first byte of a request to the end of its header, milliseconds.
    pub head_ms: u64,
    /// From the end of the header to the end of the body, however it trickles, milliseconds; a large body, on a route that
    /// takes one, gets as much again for each 256 KiB.
    pub body_ms: u64,
    /// A connection without a request, milliseconds.
    pub idle_ms: u64,
    /// A client that takes none of what is written to it, milliseconds.
    pub stall_ms: u64,
    /// What requests under way get to end once the program stops, milliseconds.
    pub drain_ms: u64,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address; an IPv6 address counts with its /64.
    pub connections_per_address_max: usize,
    /// Whether loopback addresses may have any number: for development, where all load comes from one address.
    pub loopback_exempt: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte_ms: 5_000,
            head_ms: 5_000,
            body_ms: 10_000,
            idle_ms: 30_000,
            stall_ms: 30_000,
            drain_ms: 20_000,
            connections_max: 10_000,
            connections_per_address_max: 100,
            loopback_exempt: false,
        }
    }
}
