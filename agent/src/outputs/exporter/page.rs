//! `/metrics` as it is served, and to whom.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;

use super::{ExporterError, scrapers::Scrapers};
use crate::{outputs::prometheus, units::Nanos};

/// Answers under way when the agent ends have so long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Bytes handed over at once. What the server holds back for a slow client is a few of these, so that asking for the next
/// says that nearly all before it has left.
const PIECE: usize = 4 << 10;

/// The last snapshot as text, and who has which.
#[derive(Debug)]
pub(super) struct Page {
    told: RwLock<Told>,
    scrapers: Mutex<Scrapers>,
    clock: fn() -> Nanos,
}

#[derive(Clone, Debug)]
struct Told {
    number: u64,
    text: Bytes,
}

impl Page {
    /// A page of no series yet.
    pub(super) fn new(clock: fn() -> Nanos) -> Self {
        let told = RwLock::new(Told { number: 0, text: Bytes::from_static(b"# EOF\n") });
        Self { told, scrapers: Mutex::new(Scrapers::new(clock())), clock }
    }

    /// Shows a snapshot.
    pub(super) fn show(&self, number: u64, text: String) {
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = Told { number, text: text.into() };
    }

    /// The latest snapshot that all who count have; `None`: nobody is waited for.
    pub(super) fn acknowledged(&self, now: Nanos) -> Option<u64> {
        self.scrapers.lock().unwrap_or_else(PoisonError::into_inner).acknowledged(now)
    }

    fn served(&self, who: IpAddr, number: u64) {
        self.scrapers.lock().unwrap_or_else(PoisonError::into_inner).served(who, number, (self.clock)());
    }
}

pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, ExporterError> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source: io::Error| ExporterError::Listen { address, source })
}

/// Serves until `ended`.
pub(super) async fn serve(page: Arc<Page>, listener: TcpListener, mut ended: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let routes = Router::new().route("/metrics", get(answer)).with_state(page);
    let mut end = ended.clone();
    let serving = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            end.wait_for(|ended| *ended).await.ok();
        });
    // A client that never finishes its request would hold the end up for ever.
    let late = async {
        ended.wait_for(|ended| *ended).await.ok();
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        _ = async { serving.await } => {}
        () = late => {}
    }
}

async fn answer(State(page): State<Arc<Page>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> impl IntoResponse {
    let Told { number, text } = page.told.read().unwrap_or_else(PoisonError::into_inner).clone();
    let body = Body::new(Answer { rest: text, who: peer.ip(), number, page });
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], body)
}

/// The text on its way. When the server lets go of it with nothing left, all of it is on its way to the client.
struct Answer {
    rest: Bytes,
    who: IpAddr,
    number: u64,
    page: Arc<Page>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.rest.is_empty() {
            self.page.served(self.who, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    fn answer(page: &Arc<Page>, length: usize) -> Answer {
        let rest = Bytes::from(vec![b'x'; length]);
        Answer { rest, who: [127, 0, 0, 1].into(), number: 7, page: Arc::clone(page) }
    }

    /// Takes so many pieces and lets go.
    fn take(mut answer: Answer, pieces: usize) -> usize {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut taken = 0;
        for _ in 0..pieces {
            if let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut answer).poll_frame(&mut context) {
                taken += frame.into_data().unwrap().len();
            }
        }
        taken
    }

    #[test]
    fn only_who_took_all_of_it_has_it() {
        let page = Arc::new(Page::new(|| Nanos(0)));
        let far = Nanos::from_secs(1_000);
        for (pieces, taken) in [(0, 0), (1, PIECE), (2, 2 * PIECE)] {
            assert_eq!(take(answer(&page, 2 * PIECE + 1), pieces), taken);
            assert_eq!(page.acknowledged(far), None, "{pieces}");
        }
        assert_eq!(take(answer(&page, 2 * PIECE + 1), 3), 2 * PIECE + 1);
        assert_eq!(page.acknowledged(far), Some(7));
    }
}
