//! An OTLP/HTTP receiver on loopback that fails on request, and records what it took.
//!
//! It speaks just enough HTTP/1.1 for one client that sends bodies with their length.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

/// Larger requests, compressed or not, are not read.
const LARGEST: u64 = 64 << 20;
/// Between two bytes of a slow answer.
const DRIP: Duration = Duration::from_millis(20);

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing: it is taken.
    None,
    /// It is taken, and an answer with this status, these headers and this body is given; it counts as taken for 2xx.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is reset before the whole body is read.
    ResetMidBody,
    /// No answer, until the client goes.
    Stall,
    /// The head of the answer comes one byte at a time, without end.
    DripHead,
    /// Taken; the body of the answer comes one byte at a time, without end.
    DripBody,
    /// An answer that is no HTTP.
    Garbage,
    /// A refusal (503) whose text has no end.
    Endless,
    /// Bodies of more bytes, decompressed, are refused with this status and text.
    Limit(usize, u16, &'static str),
    /// Bodies with this text in them are refused with 400.
    Poison(&'static str),
    /// zstd is refused with 400.
    NoZstd,
}

impl Fault {
    /// Partial success: `rejected` below 128, a short `message`.
    pub fn partial(rejected: u8, message: &str) -> Self {
        let text = message.as_bytes();
        let partial = [&[0x08, rejected, 0x12, length(text)], text].concat();
        Self::Answer(200, Vec::new(), [&[0x0a, length(&partial)], &*partial].concat())
    }

    /// A status alone.
    pub fn status(code: u16) -> Self {
        Self::Answer(code, Vec::new(), Vec::new())
    }
}

/// As one byte; longer ones are cut by who reads them.
fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).unwrap_or(0x7f)
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `/v1/metrics`
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decompressed.
    pub body: Vec<u8>,
    /// Whether it was answered with 2xx.
    pub taken: bool,
}

impl Request {
    /// The value of header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

type Script = Box<dyn Fn(usize) -> Fault + Send + Sync>;

struct Shared {
    script: Script,
    count: AtomicUsize,
    closing: AtomicBool,
    requests: Mutex<Vec<Request>>,
    written: AtomicUsize,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receiver that listens until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Listens on a free port. `script` says what happens to the request of each number, from 0.
    pub fn start(script: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script)
    }

    /// Listens on `address`.
    pub fn start_at(address: SocketAddr, script: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let shared = Arc::new(Shared {
            script: Box::new(script),
            count: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            requests: Mutex::default(),
            written: AtomicUsize::new(0),
        });
        let address = listener.local_addr()?;
        let within = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &within));
        Ok(Self { address, shared })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests whose body was read, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests().clone()
    }

    /// Those since the last call; they are not kept any longer.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.shared.requests())
    }

    /// Requests of which at least the head came.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Bytes of endless answers that were got rid of.
    pub fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; when this fails it is awake.
        drop(TcpStream::connect(self.address));
    }
}

/// An address on loopback on which nobody listens.
pub fn closed_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // A client that goes away is part of the tests.
        thread::spawn(move || serve(&stream, &shared).ok());
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Result<()> {
    // A small buffer: what is not asked for stays in the kernel, so that closing resets the connection.
    let mut reader = BufReader::with_capacity(16, stream);
    while !shared.closing.load(Ordering::SeqCst) {
        let mut request = head(&mut reader)?;
        let fault = (shared.script)(shared.count.fetch_add(1, Ordering::SeqCst));
        if matches!(fault, Fault::ResetMidBody) {
            return Ok(());
        }
        request.body = body(&mut reader, &request)?;
        let fault = judged(fault, &request);
        request.taken = matches!(fault, Fault::None | Fault::DripBody | Fault::Answer(200..=299, ..));
        shared.requests().push(request);
        if !reply(stream, fault, shared)? {
            return Ok(());
        }
    }
    Ok(())
}

fn head(reader: &mut impl BufRead) -> Result<Request> {
    let mut request = Request::default();
    let mut line = String::new();
    ensure!(reader.take(8192).read_line(&mut line)? > 0, "the client is gone");
    line.split(' ').nth(1).context("no path")?.clone_into(&mut request.path);
    loop {
        line.clear();
        reader.take(8192).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(request) };
        ensure!(request.headers.len() < 100, "too many headers");
        request.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
}

fn body(reader: &mut impl Read, request: &Request) -> Result<Vec<u8>> {
    let length: u64 = request.header("content-length").context("no length")?.parse()?;
    ensure!(length <= LARGEST, "too long");
    let mut raw = Vec::new();
    reader.take(length).read_to_end(&mut raw)?;
    ensure!(raw.len() as u64 == length, "the client is gone");
    let mut body = Vec::new();
    match request.header("content-encoding") {
        None => return Ok(raw),
        Some("gzip") => flate2::read::GzDecoder::new(&*raw).take(LARGEST).read_to_end(&mut body)?,
        Some("zstd") => zstd::Decoder::new(&*raw)?.take(LARGEST).read_to_end(&mut body)?,
        Some(other) => bail!("{other} is not known"),
    };
    Ok(body)
}

/// What the rule in `fault` means for `request`.
fn judged(fault: Fault, request: &Request) -> Fault {
    let refused = |status, text: &str| Fault::Answer(status, vec![("content-type", "text/plain".into())], text.into());
    match fault {
        Fault::Limit(most, status, text) if request.body.len() > most => refused(status, text),
        Fault::Poison(marker) if contains(&request.body, marker) => refused(400, "invalid resource"),
        Fault::NoZstd if request.header("content-encoding") == Some("zstd") => refused(400, "unsupported compression"),
        Fault::Limit(..) | Fault::Poison(_) | Fault::NoZstd => Fault::None,
        other => other,
    }
}

/// Whether `text` stands in `body`.
fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// False when the connection is over.
fn reply(mut stream: &TcpStream, fault: Fault, shared: &Shared) -> Result<bool> {
    match fault {
        Fault::Answer(status, headers, body) => {
            let mut answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len()).into_bytes();
            for (name, value) in headers {
                write!(answer, "{name}: {value}\r\n")?;
            }
            stream.write_all(&[&*answer, b"\r\n", &body].concat())?;
            return Ok(true);
        }
        Fault::Stall => while !gone(stream) {},
        Fault::DripHead => drip(stream, b"HTTP/1.1 200 OK\r\nx-drip: ")?,
        Fault::DripBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
            drip(stream, b"")?;
        }
        Fault::Garbage => stream.write_all(b"\x00\xffSSH-2.0-x\r\n\r\n")?,
        Fault::Endless => {
            stream.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 1000000000\r\n\r\n")?;
            while !shared.closing.load(Ordering::SeqCst) {
                shared.written.fetch_add(stream.write(&[b'x'; 4096])?, Ordering::SeqCst);
            }
        }
        _ => {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 2\r\n\r\n\x0a\x00",
            )?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn drip(mut stream: &TcpStream, start: &[u8]) -> io::Result<()> {
    let mut bytes = start.iter().copied().chain(std::iter::repeat(b'x'));
    while !gone(stream) {
        stream.write_all(&[bytes.next().unwrap_or(b'x')])?;
    }
    Ok(())
}

/// Waits a little for the client to go.
fn gone(mut stream: &TcpStream) -> bool {
    let waited = stream.set_read_timeout(Some(DRIP)).and_then(|()| stream.read(&mut [0]));
    !waited.is_err_and(|error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
}
