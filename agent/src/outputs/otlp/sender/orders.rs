//! Waiting for what the sampling thread orders.

use tokio::{sync::watch, time::Instant};

use super::Encoding;

/// Waits for another destination; that it is there remains to be seen.
pub(super) async fn renewed(way: &mut watch::Receiver<Encoding>) {
    match way.changed().await {
        Ok(()) => way.mark_changed(),
        // Not while the shared state lives, and the sender holds it.
        Err(_) => std::future::pending().await,
    }
}

/// Waits for the order to stop: the deadline.
pub(super) async fn stopped(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let ordered = stop.wait_for(Option::is_some).await.map(|deadline| *deadline);
    match ordered {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        // Not while the shared state lives, and the sender holds it.
        Err(_) => std::future::pending().await,
    }
}
