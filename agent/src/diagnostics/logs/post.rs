//! The SDK's requests through the client of the data path: same certificates, proxies and headers, and a look at the
//! answer that the SDK keeps to itself.

use std::{future, io, pin::Pin, sync::Arc};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::{self, Runtime};

use super::Account;
use crate::outputs::otlp::{
    http::Reply,
    outcome::{Encoding, Outcome, judge},
};

/// Posts bodies to where records go at that time.
#[derive(Debug)]
pub(super) struct Post {
    account: Arc<Account>,
    /// Driven by the SDK's thread while a request is under way; it has no thread of its own.
    runtime: Runtime,
}

impl Post {
    pub(super) fn new(account: Arc<Account>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { account, runtime })
    }

    /// Only the body is taken: address and headers are the client's. Must not be called from within a runtime.
    fn send(&self, body: Bytes) -> Result<Response<Bytes>, HttpError> {
        let target = self.account.target().ok_or("nothing is sent any more")?;
        match self.runtime.block_on(target.client.post(body, target.encoding)) {
            Ok(reply) => {
                let (refused, why) = met(&reply, target.encoding);
                self.account.meet(refused, why);
                let mut response = Response::new(Bytes::from(reply.body));
                *response.status_mut() = reply.status;
                *response.headers_mut() = reply.headers;
                Ok(response)
            }
            Err(why) => {
                self.account.meet(0, Some(why.clone()));
                Err(why.into())
            }
        }
    }
}

impl HttpClient for Post {
    // By hand what the `async_trait` macro writes: the request is done when this returns, so there is nothing to await.
    fn send_bytes<'a, 'r>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'r>>
    where
        'a: 'r,
        Self: 'r,
    {
        Box::pin(future::ready(self.send(request.into_body())))
    }
}

/// How many records an answer refuses, and what it complains about.
fn met(reply: &Reply, encoding: Encoding) -> (u64, Option<String>) {
    match judge(&reply.answer(), encoding) {
        Outcome::Delivered { rejected: 0, message } => (0, message),
        Outcome::Delivered { rejected, message } => {
            let message = message.unwrap_or_else(|| "it does not say why".to_owned());
            (rejected, Some(format!("{rejected} were refused: {message}")))
        }
        Outcome::Retry { why, .. }
        | Outcome::Split { why }
        | Outcome::Poison { why }
        | Outcome::Drop { why }
        | Outcome::FiveRetries { why }
        | Outcome::Hold { why } => (0, Some(why)),
        Outcome::Gzip => (0, Some("the compression is refused".to_owned())),
    }
}
