//! Programs that are started.
