//! Calls to other processes: balanced, bounded, retried only where that is safe.
