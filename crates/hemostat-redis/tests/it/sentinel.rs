//! A primary behind sentinels: it dies, a replica takes its place, and the same process goes on.
