//! How an upstream is treated: every limit of a call, with its default.

/// Limits of the calls to one upstream. All times are real time, whatever clock the program is driven by: they guard sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// From the wish for a connection to its first use, handshake included, milliseconds.
    pub connect_ms: u64,
    /// How long an unused connection is kept, milliseconds; below what the other side keeps it.
    pub idle_ms: u64,
    /// Calls under way at one instance; beyond that it is passed over.
    pub in_flight_max: usize,
    /// How much of a body is kept for sending it to another instance, bytes.
    pub replay_bytes_max: usize,
    /// How often a call is sent at most, the first time included.
    pub attempts_max: usize,
    /// Calls that may be sent again, of a hundred.
    pub retry_percent: u32,
    /// How long a latency is remembered, milliseconds.
    pub latency_memory_ms: u64,
    /// The path that says whether an instance takes requests.
    pub probe_path: &'static str,
    /// How often it is asked, milliseconds.
    pub probe_every_ms: u64,
    /// How long it may take to say so, milliseconds.
    pub probe_ms: u64,
    /// Probes in a row that must fail before an instance gets no requests.
    pub probe_failures: u32,
    /// Probes in a row that must succeed before it gets requests again.
    pub probe_successes: u32,
    /// How often the addresses of a name are asked for, milliseconds.
    pub resolve_every_ms: u64,
    /// Calls in a row that must fail at an instance before it is passed over for a while.
    pub ejection_failures: u32,
    /// How long it is passed over the first time, milliseconds; doubled each time it fails again.
    pub ejection_ms: u64,
    /// The longest that it is passed over, milliseconds.
    pub ejection_ms_max: u64,
    /// What the breaker looks back on, milliseconds.
    pub breaker_window_ms: u64,
    /// Calls in that time before it judges.
    pub breaker_calls_min: u32,
    /// Calls of a hundred that must stay without an answer before it opens.
    pub breaker_percent: u32,
    /// How long it stays open before one call tries, milliseconds.
    pub breaker_open_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_ms: 1_000,
            idle_ms: 15_000,
            in_flight_max: 1_024,
            replay_bytes_max: 64 * 1024,
            attempts_max: 4,
            retry_percent: 10,
            latency_memory_ms: 10_000,
            probe_path: "/readyz",
            probe_every_ms: 1_000,
            probe_ms: 1_000,
            probe_failures: 2,
            probe_successes: 1,
            resolve_every_ms: 5_000,
            ejection_failures: 5,
            ejection_ms: 1_000,
            ejection_ms_max: 30_000,
            breaker_window_ms: 10_000,
            breaker_calls_min: 20,
            breaker_percent: 50,
            breaker_open_ms: 5_000,
        }
    }
}
